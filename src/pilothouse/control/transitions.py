"""Transitions in one block of memory, so that drawing a batch is one gather."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import DataError


class Replay(Protocol):
    """What a learner draws its batches from."""

    def draw(self, size: int, generator: torch.Generator) -> Transitions:
        """Return ``size`` transitions."""
        ...


@dataclass(frozen=True)
class Transitions:
    """N steps of an environment.

    Args:
        rows: [N, 2 D + A + 2] state, action in [-1, 1], next state, reward, and 1 where the episode ended for good.
        states: width D of a state.
        actions: width A of an action.
    """

    rows: Float[Tensor, "N C"]
    states: int
    actions: int

    @classmethod
    def of(cls, state: Tensor, action: Tensor, reward: Tensor, following: Tensor, done: Tensor) -> Transitions:
        """Return transitions from their parts.

        Args:
            state: [N, D].
            action: [N, A], within [-1, 1].
            reward: [N].
            following: [N, D] the next state.
            done: [N] whether the episode ended for good; a time-out is no end.

        Raises:
            DataError: the parts do not fit together, or a number is not finite.
        """
        count, states = state.shape
        columns = (state, action, following, reward[:, None], done[:, None])
        if any(len(part) != count for part in columns) or following.shape != state.shape:
            shapes = [tuple(part.shape) for part in columns]
            raise DataError(
                f"the parts of transitions differ in length or width: {shapes}; give one row a step in each"
            )
        rows = torch.cat([part.float() for part in columns], dim=1)
        if not bool(torch.isfinite(rows).all()):
            raise DataError("transitions hold numbers that are not finite; drop the episodes that hold them")
        return cls(rows, states, action.shape[1])

    @classmethod
    def cat(cls, parts: Sequence[Transitions]) -> Transitions:
        """Return all transitions of several lots of the same widths."""
        return cls(torch.cat([part.rows for part in parts]), parts[0].states, parts[0].actions)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def state(self) -> Float[Tensor, "N D"]:
        """States."""
        return self.rows[:, : self.states]

    @property
    def action(self) -> Float[Tensor, "N A"]:
        """Actions."""
        return self.rows[:, self.states : self.states + self.actions]

    @property
    def following(self) -> Float[Tensor, "N D"]:
        """Next states."""
        return self.rows[:, self.states + self.actions : -2]

    @property
    def reward(self) -> Float[Tensor, " N"]:
        """Rewards."""
        return self.rows[:, -2]

    @property
    def done(self) -> Float[Tensor, " N"]:
        """1 where the episode ended for good, else 0."""
        return self.rows[:, -1]

    def draw(self, size: int, generator: torch.Generator) -> Transitions:
        """Return ``size`` transitions drawn uniformly with replacement.

        Raises:
            DataError: there are none to draw from.
        """
        if not len(self):
            raise DataError("there are no transitions to draw from; give at least one episode of one step")
        chosen = torch.randint(len(self), (size,), generator=generator)
        return Transitions(self.rows.index_select(0, chosen), self.states, self.actions)


@dataclass(frozen=True)
class Mixed:
    """Batches of which a fixed share comes from one replay and the rest from another.

    Args:
        first: gives the share.
        second: gives the rest.
        share: part of every batch that comes from ``first``, rounded to whole transitions.
    """

    first: Replay
    second: Replay
    share: float

    def draw(self, size: int, generator: torch.Generator) -> Transitions:
        """Return ``size`` transitions, those of ``first`` at the front."""
        count = round(self.share * size)
        lots = ((self.first, count), (self.second, size - count))
        parts = [replay.draw(n, generator) for replay, n in lots if n]
        return Transitions.cat(parts) if len(parts) > 1 else parts[0]
