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


class Scorer(nn.Module):
    """Scores the entries of chunks, after reading the observations once."""

    def read(self, observations: Tensor, generator: torch.Generator | None = None) -> Float[Tensor, "B ..."]:
        """Return the condition of normalised observations [B, To, D].

        Args:
            observations: [B, To, D], oldest first.
            generator: draws the dropout of a training step; ``None`` drops nothing.
        """
        raise NotImplementedError

    def forward(self, chunk: Tensor, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Return a score an entry [B, T, A].

        Args:
            chunk: [B, T, A] normalised actions.
            condition: [B, ...] what ``read`` returned.
            generator: draws the dropout of a training step; ``None`` drops nothing.
        """
        raise NotImplementedError


class EnergyNetwork(Part):
    """A network's shape, by name. Networks are smooth: training differentiates them twice."""

    catalogue: ClassVar[Catalogue] = Catalogue("energy network", "pilothouse.policies")

    def scorer(self, horizon: int, actions: int, observation_dim: int, observation_steps: int) -> Scorer:
        """Return the network.

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

    def scorer(self, horizon: int, actions: int, observation_dim: int, observation_steps: int) -> Scorer:
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

    def scorer(self, horizon: int, actions: int, observation_dim: int, observation_steps: int) -> Scorer:
        """Return the network."""
        size = self.width, self.blocks, self.heads, self.dropout
        encoder = CausalEncoder(observation_dim, observation_steps, *size)
        return _TokenScorer(encoder, EnergyTransformer(actions, horizon, observation_steps, *size))


class _FlatScorer(Scorer):
    def __init__(self, size: int, condition: int, width: int, blocks: int) -> None:
        super().__init__()
        self.inner = FiLMNetwork(size, size, condition, width, blocks)

    def read(self, observations: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.inner.films(observations.flatten(1))

    def forward(self, chunk: Tensor, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.inner.steered(chunk.flatten(1), condition).view_as(chunk)


class _TokenScorer(Scorer):
    def __init__(self, encoder: CausalEncoder, inner: EnergyTransformer) -> None:
        super().__init__()
        self.encoder, self.inner = encoder, inner

    def read(self, observations: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.encoder(observations, generator)

    def forward(self, chunk: Tensor, condition: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return self.inner(chunk, condition, generator)
