"""Recorded episodes cut into training examples: the last observations and the chunk of actions they begin."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pilothouse.tasks.demonstrations import Demonstrations


@dataclass(frozen=True)
class ChunkBatch:
    """Training examples.

    Args:
        observations: [B, To, D] in the task's units.
        actions: [B, T, A] in the task's units; action To - 1 follows the last observation.
        mask: [B, T] whether the action was recorded; beyond an episode's ends its first or last action is repeated.
    """

    observations: Tensor
    actions: Tensor
    mask: Tensor


class ChunkDataset:
    """Every window of every episode; its ends are padded by repetition, so that each recorded step is acted on once.

    Args:
        demonstrations: the episodes.
        horizon: actions T of a chunk.
        observation_steps: observations To that come with it.
    """

    def __init__(self, demonstrations: Demonstrations, horizon: int, observation_steps: int) -> None:
        episodes = demonstrations.trajectories
        self._observations = torch.cat([one.observations[:-1] for one in episodes])
        self._actions = torch.cat([one.actions for one in episodes])
        lengths = torch.tensor([len(one) for one in episodes])
        ends = lengths.cumsum(0)
        self._first = (ends - lengths).repeat_interleave(lengths)
        self._last = (ends - 1).repeat_interleave(lengths)
        self._back = torch.arange(1 - observation_steps, 1)
        self._ahead = torch.arange(horizon) + 1 - observation_steps

    def __len__(self) -> int:
        return len(self._actions)

    def take(self, rows: Tensor) -> ChunkBatch:
        """Return the windows whose last observation is that of step ``rows``, [B]."""
        first, last = self._first[rows, None], self._last[rows, None]
        seen = (rows[:, None] + self._back).maximum(first)
        wanted = rows[:, None] + self._ahead
        done = wanted.maximum(first).minimum(last)
        return ChunkBatch(self._observations[seen], self._actions[done], (wanted >= first) & (wanted <= last))

    def draw(self, count: int, generator: torch.Generator) -> ChunkBatch:
        """Return ``count`` windows drawn with replacement."""
        return self.take(torch.randint(len(self), (count,), generator=generator))
