"""Networks that predict the noise in a chunk of actions, given its level and what was observed."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pilothouse.core.parts import Catalogue, Part
from pilothouse.policies.film import FiLMNetwork, sinusoids

_LEVEL = 64  # width of the embedding of the noise level


class Denoiser(Part):
    """A network's shape, by name."""

    catalogue: ClassVar[Catalogue] = Catalogue("denoiser", "pilothouse.policies")

    def network(self, horizon: int, actions: int, condition: int) -> nn.Module:
        """Return the network: called with a chunk [B, T, A], levels [B] and a condition [B, C] it returns [B, T, A].

        Args:
            horizon: actions T in a chunk.
            actions: numbers A in an action.
            condition: numbers C in a condition.
        """
        raise NotImplementedError


class ResidualMLP(Denoiser):
    """Fully connected residual blocks on the flattened chunk.

    Args:
        width: of the hidden layers.
        blocks: how many.
    """

    name: ClassVar[str] = "residual-mlp"

    width: Annotated[int, Field(ge=8)] = 256
    blocks: Annotated[int, Field(ge=1)] = 3

    def network(self, horizon: int, actions: int, condition: int) -> nn.Module:
        """Return the network."""
        return _FlatDenoiser(horizon * actions, condition, self.width, self.blocks)


class _FlatDenoiser(nn.Module):
    def __init__(self, size: int, condition: int, width: int, blocks: int) -> None:
        super().__init__()
        self.inner = FiLMNetwork(size, size, condition + _LEVEL, width, blocks)

    def forward(self, chunk: Tensor, level: Tensor, condition: Tensor) -> Tensor:
        known = torch.cat([condition, sinusoids(level, _LEVEL)], dim=-1)
        return self.inner(chunk.flatten(1), known).view_as(chunk)
