"""The protocol of losses on chunks of actions, and the one of diffusion."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pilothouse.control.chunks import ChunkBatch
from pilothouse.core.parts import Catalogue, Part
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy


class ActionLoss(Part):
    """What a chunk policy minimises.

    Class attributes:
        model: the kind of policy it trains.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("action loss", "pilothouse.control")
    model: ClassVar[type[ChunkModel]]

    def __call__(
        self, policy: ChunkPolicy, batch: ChunkBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the mean loss of a batch and figures for the log.

        Args:
            policy: what is trained.
            batch: examples.
            generator: every draw comes from it.
        """
        raise NotImplementedError


class NoisePrediction(ActionLoss):
    """Mean squared error of the noise predicted in chunks at levels drawn uniformly.

    Args:
        mask_padding: leave repeated actions beyond an episode's ends out of the mean; the official code counts them.
    """

    name: ClassVar[str] = "noise-prediction"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    mask_padding: bool = False

    def __call__(
        self, policy: ChunkPolicy, batch: ChunkBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return ``E || eps - eps(sqrt(a_k) A + sqrt(1 - a_k) eps, k, O) ||^2`` over the entries that count."""
        assert isinstance(policy, DiffusionChunkPolicy)
        clean = policy.actions(batch.actions)
        levels = torch.randint(policy.levels, (len(clean),), generator=generator)
        noise = torch.randn(clean.shape, generator=generator)
        share = policy.alphas[levels][:, None, None]
        found = policy.eps(
            share.sqrt() * clean + (1 - share).sqrt() * noise, levels, policy.condition(batch.observations)
        )
        counted = (
            batch.mask[..., None].expand_as(clean) if self.mask_padding else torch.ones_like(clean, dtype=torch.bool)
        )
        return ((found - noise).square() * counted).sum() / counted.sum(), {}
