"""Diffusion policy: a network that predicts the noise in a chunk of actions (Chi et al. 2023, arXiv 2303.04137)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import Tensor

from pilothouse.core.parts import SLOT
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.denoisers import Denoiser, ResidualMLP
from pilothouse.policies.noise_schedule import Schedule, alphas_cumprod
from pilothouse.policies.normalizer import Normalizer


class DiffusionChunk(ChunkModel):
    """A noise predictor over chunks of actions.

    Args:
        denoiser: the network's shape.
        levels: noise levels K it is trained on.
        schedule: how noise grows over the levels, by diffusers' name.
    """

    name: ClassVar[str] = "diffusion"

    denoiser: Annotated[Denoiser, SLOT] = ResidualMLP()
    levels: Annotated[int, Field(ge=2)] = 100
    schedule: Schedule = "squaredcos_cap_v2"

    def assemble(self, observations: Normalizer, actions: Normalizer) -> DiffusionChunkPolicy:
        """Return the policy."""
        return DiffusionChunkPolicy(self, observations, actions)


class DiffusionChunkPolicy(ChunkPolicy):
    """Predicts noise.

    Args:
        model: what it is built from.
        observations: normalises observations.
        actions: normalises actions.
    """

    alphas: Tensor

    def __init__(self, model: DiffusionChunk, observations: Normalizer, actions: Normalizer) -> None:
        super().__init__(model, observations, actions)
        self.register_buffer("alphas", alphas_cumprod(model.levels, model.schedule))
        condition = model.observation_steps * self.observation_dim
        self.network = model.denoiser.network(model.horizon, self.action_dim, condition)

    @property
    def levels(self) -> int:
        """Noise levels K."""
        return len(self.alphas)

    def eps(self, chunk: Tensor, level: int | Tensor, condition: Tensor) -> Tensor:
        """Return the noise predicted in ``chunk`` [B, T, A] at ``level`` (one, or [B]) under ``condition`` [B, C]."""
        if isinstance(level, int):
            level = chunk.new_full((len(chunk),), level)
        return self.network(chunk, level, condition)
