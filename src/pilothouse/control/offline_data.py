"""Recorded episodes as offline learners take them: actions within [-1, 1], and what normalises the rest."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from pilothouse.control.transitions import Transitions
from pilothouse.core.errors import DataError
from pilothouse.policies.normalizer import Normalizer
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import Demonstrations, Trajectory


class Frame(nn.Module):
    """How a learner sees a task: normalised observations, and actions of which -1 and 1 are the limits.

    Args:
        observations: brings each observed number to mean 0 and standard deviation 1.
        actions: brings the task's limits to -1 and 1.
    """

    def __init__(self, observations: Normalizer, actions: Normalizer) -> None:
        super().__init__()
        self.observations, self.actions = observations, actions

    @classmethod
    def blank(cls, states: int, actions: int) -> Frame:
        """Return one that changes nothing, to load a saved one into."""
        return cls(Normalizer.blank(states), Normalizer.blank(actions))

    @property
    def states(self) -> int:
        """Width D of an observation."""
        return len(self.observations.shift)

    @property
    def width(self) -> int:
        """Width A of an action."""
        return len(self.actions.shift)


@dataclass(frozen=True)
class OfflineData:
    """Episodes of one task with the limits of its actions.

    Args:
        episodes: what was recorded, with its statistics.
        low: [A] smallest action.
        high: [A] largest action.

    Raises:
        DataError: the limits are of another width than the actions, are no range, or actions lie outside of them.
    """

    episodes: Demonstrations
    low: Tensor
    high: Tensor

    def __post_init__(self) -> None:
        """Refuse limits that do not fit the actions."""
        seen = self.episodes.actions
        if not all(one.actions.is_floating_point() for one in self.episodes.trajectories):
            raise DataError(
                "offline learners need actions that are real numbers, and these are whole ones: embed discrete actions "
                "as vectors first"
            )
        if self.low.shape != seen.low.shape or self.high.shape != seen.low.shape:
            raise DataError(
                f"the action limits have {self.low.numel()} numbers, the recorded actions {seen.low.numel()}: give the "
                "limits of the space that the episodes were recorded in"
            )
        if not bool(torch.isfinite(self.high - self.low).all()) or bool((self.high <= self.low).any()):
            raise DataError(
                "offline learners need an action space with finite limits, low below high: clip the actions"
            )
        over = ((self.low - seen.low).maximum(seen.high - self.high) / (self.high - self.low)).max()
        if over > 1e-3:
            raise DataError(
                f"recorded actions reach {float(over):.1%} of the range beyond the action limits: rescale them, or "
                "give the limits of the space that they were recorded in"
            )

    @classmethod
    def of(cls, task: ControlTask, episodes: Demonstrations) -> OfflineData:
        """Return a task's episodes with its action limits."""
        return cls(episodes, *task.bounds)

    @cached_property
    def frame(self) -> Frame:
        """How learners see these data."""
        middle, half = (self.low + self.high) / 2, (self.high - self.low) / 2
        return Frame(Normalizer.standard(self.episodes.observations), Normalizer(middle, half))

    def unit(self, episode: Trajectory) -> Tensor:
        """Return an episode's actions, [H, A], with the limits at -1 and 1."""
        return self.frame.actions(episode.actions).clamp(-1, 1)

    @cached_property
    def transitions(self) -> Transitions:
        """Every recorded step. Only an end of the task itself counts as done; a time-out does not."""
        episodes = self.episodes.trajectories
        ends = [torch.zeros(len(one)) for one in episodes]
        for one, end in zip(episodes, ends, strict=True):
            end[-1] = float(one.terminated)
        return Transitions.of(
            torch.cat([one.observations[:-1] for one in episodes]),
            torch.cat([self.unit(one) for one in episodes]),
            torch.cat([one.rewards for one in episodes]),
            torch.cat([one.observations[1:] for one in episodes]),
            torch.cat(ends),
        )
