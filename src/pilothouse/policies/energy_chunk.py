"""A policy that scores whole chunks of actions: low energy where a chunk suits what was observed."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import SLOT, Settings
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.energy_networks import EnergyMLP, EnergyNetwork
from pilothouse.policies.normalizer import Normalizer


class Dynamics(Settings):
    """How one walks down an energy: the landscape is shaped for it, so it is the same in training and when acting.

    Args:
        alpha: step size, for an energy that is a mean over the T x A entries of a chunk.
        temp: temperature T_E of the energy's say in the step size, ``exp(E) / temp``.
        mu: momentum, with Nesterov's look-ahead.
        norm: bring each chunk to unit scale before each step.
        scaled: let the energy scale the step: longer where it is high.
    """

    alpha: Annotated[float, Field(gt=0)] = 1000.0
    temp: Annotated[float, Field(gt=0)] = 1.0
    mu: Annotated[float, Field(ge=0, lt=1)] = 0.9
    norm: bool = True
    scaled: bool = True

    def alpha_hat(self, horizon: int, actions: int) -> float:
        """Return an entry's own step, ``alpha / (T A)``: what to keep when the shape of a chunk changes.

        Args:
            horizon: rows of a chunk, T.
            actions: entries of an action, A.
        """
        return self.alpha / (horizon * actions)


class EnergyChunk(ChunkModel):
    """An energy over chunks of actions.

    Args:
        network: what scores a chunk's entries.
        dynamics: how one walks down.
    """

    name: ClassVar[str] = "energy"

    network: Annotated[EnergyNetwork, SLOT] = EnergyMLP()
    dynamics: Dynamics = Dynamics()

    def assemble(self, observations: Normalizer, actions: Normalizer) -> EnergyChunkPolicy:
        """Return the policy."""
        return EnergyChunkPolicy(self, observations, actions)


class EnergyChunkPolicy(ChunkPolicy):
    """The energy of observations and a chunk: the mean of the network's scores of the chunk's entries.

    Args:
        model: what it is built from.
        observations: normalises observations.
        actions: normalises actions.
    """

    def __init__(self, model: EnergyChunk, observations: Normalizer, actions: Normalizer) -> None:
        super().__init__(model, observations, actions)
        shape = model.horizon, self.action_dim, self.observation_dim, model.observation_steps
        self.dynamics, self.network = model.dynamics, model.network.scorer(*shape)

    def condition(
        self, observations: Float[Tensor, "B To D"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B ..."]:
        """Return what the energy sees of observations: computed once, however many steps follow.

        Args:
            observations: [B, To, D] in the task's units, oldest first.
            generator: draws the dropout of a training step; ``None`` drops nothing.
        """
        return self.network.read(self.observations(observations), generator)

    def energy(
        self,
        chunk: Float[Tensor, "B T A"],
        condition: Float[Tensor, "B ..."],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, " B"]:
        """Return the energy of each chunk; it is no log-probability and not comparable across chunk shapes.

        Args:
            chunk: [B, T, A] normalised actions.
            condition: [B, ...] what ``condition`` returned.
            generator: draws the dropout of a training step; ``None`` drops nothing.

        Raises:
            ConfigError: the chunks have another shape than the policy's.
        """
        if chunk.shape[1:] != (self.horizon, self.action_dim):
            rows, entries = chunk.shape[1:]
            raise ConfigError(
                f"the policy scores chunks of {self.horizon} x {self.action_dim} (rows x entries of an action) and was "
                f"given {rows} x {entries}: use the horizon and the action space it was trained with"
            )
        return self.network(chunk, condition, generator).mean(dim=(1, 2))
