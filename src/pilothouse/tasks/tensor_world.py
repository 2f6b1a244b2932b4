"""Environments in pure tensors: all slots move at once, which is what makes a plane task cheap."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import Moment


class Dynamics(Protocol):
    """How a state begins, moves and looks."""

    @property
    def horizon(self) -> int:
        """Steps after which an episode is cut off."""
        ...

    def start(self, generator: torch.Generator) -> Tensor:
        """Return the first state of an episode, [S]."""
        ...

    def observe(self, states: Tensor) -> Tensor:
        """Return what is seen of states [N, S], [N, D]."""
        ...

    def advance(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the next states [N, S], rewards [N], whether each slot has ended [N] and succeeded [N]."""
        ...


class TensorEnvironment:
    """Slots over shared dynamics.

    Args:
        dynamics: how a state begins, moves and looks.
        n: slots.
        seeds: node of the episodes; that of slot i's k-th episode is ``seeds / i / k``.
    """

    def __init__(self, dynamics: Dynamics, n: int, seeds: SeedTree) -> None:
        self.dynamics, self.n, self.seeds = dynamics, n, seeds
        self._episodes = [0] * n
        self._steps, self._done = torch.zeros(n, dtype=torch.long), torch.zeros(n, dtype=torch.bool)
        self._success = torch.zeros(n)
        self._states = torch.empty(0)

    def reset(self, slots: Tensor | None = None) -> Tensor:
        """Begin new episodes in ``slots`` and return what is seen everywhere, [N, D]."""
        chosen = range(self.n) if slots is None else slots.nonzero().flatten().tolist()
        for slot in chosen:
            state = self.dynamics.start((self.seeds / slot / self._episodes[slot]).torch())
            if not len(self._states):
                self._states = state.new_zeros(self.n, len(state))
            self._states[slot] = state
            self._episodes[slot] += 1
            self._steps[slot], self._done[slot], self._success[slot] = 0, False, 0.0
        return self.dynamics.observe(self._states)

    def step(self, actions: Tensor) -> Moment:
        """Act in every slot whose episode goes on."""
        live = ~self._done
        states, rewards, ended, success = self.dynamics.advance(self._states, actions)
        self._states = torch.where(live[:, None], states, self._states)
        self._steps += live
        self._success = torch.where(live, success.float(), self._success)
        over = self._steps >= self.dynamics.horizon
        ended = live & ended
        self._done = self._done | ended | over
        return Moment(
            self.dynamics.observe(self._states),
            torch.where(live, rewards, torch.zeros_like(rewards)),
            ended,
            self._done & ~ended,
            self._success.clone(),
        )


def uniform(generator: torch.Generator, *ranges: tuple[float, float]) -> Tensor:
    """Return one draw from each range, [len(ranges)]."""
    low, high = torch.tensor(ranges, dtype=torch.float32).T
    return low + (high - low) * torch.rand(len(ranges), generator=generator)
