"""Plain behaviour cloning with the network of a diffusion policy: the mean of what was shown, in one call."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pilothouse.control.chunks import ChunkBatch
from pilothouse.control.losses import ActionLoss
from pilothouse.control.samplers import Draws, Sampler
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy


class Regression(ActionLoss):
    """Mean squared error of the chunk that the network returns for an empty one; goes with sampler ``regression``."""

    name: ClassVar[str] = "regression"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    def __call__(
        self, policy: ChunkPolicy, batch: ChunkBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the mean over the recorded entries."""
        wanted = policy.actions(batch.actions)
        error = (_answer(policy, policy.condition(batch.observations), wanted) - wanted).square()
        counted = batch.mask[..., None].expand_as(error)
        return (error * counted).sum() / counted.sum(), {}


class OneCall(Sampler):
    """The chunk that a network trained by ``regression`` returns."""

    name: ClassVar[str] = "regression"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return the one chunk it knows for each condition."""
        return _answer(policy, condition, condition.new_zeros(len(condition), *draws.shape)), 1


def _answer(policy: ChunkPolicy, condition: Tensor, like: Tensor) -> Tensor:
    assert isinstance(policy, DiffusionChunkPolicy)
    return policy.eps(torch.zeros_like(like), 0, condition)
