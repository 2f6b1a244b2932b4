"""Shapes of networks that score the entries of an action chunk; their mean score is an energy."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from pilothouse.core.parts import Catalogue, Part
from pilothouse.policies.energy_transformer import CausalEncoder, EnergyTransformer
from pilothouse.policies.film import FiLMNetwork


class EnergyNetwork(Part):
    """A network's shape, by name. Networks are smooth: training differentiates them twice."""

    catalogue: ClassVar[Catalogue] = Catalogue("energy network", "pilothouse.policies")

    def encoder(self, observation_dim: int, observation_steps: int) -> nn.Module:
        """Return what reads normalised observations [B, To, D] and a generator for dropout: the network's condition.

        Args:
            observation_dim: numbers D in an observation.
            observation_steps: observations To.
        """
        raise NotImplementedError

    def scorer(self, horizon: int, actions: int, observation_dim: int, observation_steps: int) -> nn.Module:
        """Return the network: a chunk [B, T, A], the condition and a generator for dropout become scores [B, T, A].

        Args:
            horizon: actions T in a chunk.
            actions: numbers A in an action.
            observation_dim: numbers D in an observation.
            observation_steps: observations To.
        """
        raise NotImplementedError


class EnergyMLP(EnergyNetwork):
    """Fully connected residual blocks on the flattened chunk, which the flattened observations scale and shift.

    Args:
        width: of the hidden layers.
        blocks: how many.
    """

    name: ClassVar[str] = "energy-mlp"

    width: Annotated[int, Field(ge=8)] = 160
    blocks: Annotated[int, Field(ge=1)] = 3

    def encoder(self, observation_dim: int, observation_steps: int) -> nn.Module:
        """Return the flattening: the network has an encoder within."""
        return _Flatten()

    def scorer(self, horizon: int, actions: int, observation_dim: int, observation_steps: int) -> nn.Module:
        """Return the network."""
        return _FlatScorer(horizon * actions, observation_dim * observation_steps, self.width, self.blocks)


class EnergyTransformerShape(EnergyNetwork):
    """The paper's transformer over actions, which reads a causal encoding of the observations.

    Args:
        width: features of a token.
        blocks: of the encoder, and of the network.
        heads: attention heads.
        dropout: of the attention weights, in training.
    """

    name: ClassVar[str] = "energy-transformer"

    width: Annotated[int, Field(ge=2)] = 256
    blocks: Annotated[int, Field(ge=1)] = 8
    heads: Annotated[int, Field(ge=1)] = 4
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.3

    def encoder(self, observation_dim: int, observation_steps: int) -> nn.Module:
        """Return a token an observation."""
        return CausalEncoder(observation_dim, observation_steps, self.width, self.blocks, self.heads, self.dropout)

    def scorer(self, horizon: int, actions: int, observation_dim: int, observation_steps: int) -> nn.Module:
        """Return the network."""
        return EnergyTransformer(actions, horizon, observation_steps, self.width, self.blocks, self.heads, self.dropout)


class _Flatten(nn.Module):
    def forward(self, observations: Tensor, generator: torch.Generator | None = None) -> Float[Tensor, "B C"]:
        return observations.flatten(1)


class _FlatScorer(nn.Module):
    def __init__(self, size: int, condition: int, width: int, blocks: int) -> None:
        super().__init__()
        self.inner = FiLMNetwork(size, size, condition, width, blocks)

    def forward(self, chunk: Tensor, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.inner(chunk.flatten(1), condition).view_as(chunk)
