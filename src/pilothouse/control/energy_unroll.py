"""Reconstruction through descent: what teaches an energy to be easy to walk down."""

from __future__ import annotations

import math
from functools import partial
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from pilothouse.control.chunks import ChunkBatch
from pilothouse.control.energy_step import Energy, energy_step
from pilothouse.control.losses import ActionLoss
from pilothouse.core.errors import DataError
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.energy_chunk import Dynamics, EnergyChunk, EnergyChunkPolicy

_ROOM = 1e-3  #: by which a normalised action may be off [-1, 1]: rounding


class EnergyUnroll(ActionLoss):
    """The squared error of demonstrated chunks after walking down from noise.

    Args:
        steps: steps every batch takes at least.
        extra: up to this many more, drawn for each batch.
        truncate: learn from the last step alone, as the newest recorded settings do, instead of from the mean over all:
            cheaper, but the first steps are then free to wander and acting in two steps is not learnt.
        sigma_max: noise of the first step.
        sigma_min: noise towards which it is annealed.
        jitter: step sizes are multiplied by a factor from [1 / jitter, jitter], drawn for each chunk; 1 leaves them.
        mask_padding: leave repeated actions beyond an episode's ends out of the mean.

    Source: EBT-Policy, arXiv 2510.27545, and its authors' code.
    """

    name: ClassVar[str] = "energy-unroll"
    model: ClassVar[type[ChunkModel]] = EnergyChunk

    steps: Annotated[int, Field(ge=1)] = 6
    extra: Annotated[int, Field(ge=0)] = 4
    truncate: bool = False
    sigma_max: Annotated[float, Field(ge=0)] = 0.2
    sigma_min: Annotated[float, Field(ge=0)] = 0.002
    jitter: Annotated[float, Field(ge=1)] = 1.5
    mask_padding: bool = False

    def sigma(self, index: int, steps: int) -> float:
        """Return the noise of a step, half a cosine from ``sigma_max``; the least would come after the last step.

        Args:
            index: the step, from 0.
            steps: how many there are.
        """
        return self.sigma_min + 0.5 * (self.sigma_max - self.sigma_min) * (1 + math.cos(math.pi * index / steps))

    def __call__(
        self, policy: ChunkPolicy, batch: ChunkBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of a batch, the number of steps, and the mean energy at the first and last of them.

        Raises:
            DataError: an action lies outside [-1, 1] once normalised.
            DivergedError: a gradient of the energy is not finite.
        """
        assert isinstance(policy, EnergyChunkPolicy)
        target = policy.actions(batch.actions)
        if (worst := float(target.abs().max())) > 1 + _ROOM:
            raise DataError(
                f"a normalised action is {worst:.3g} and descent from unit scale reaches [-1, 1]: normalise with the "
                "statistics of these very actions, and lower policy.divisors if there are any"
            )
        energy = partial(policy.energy, generator=generator)
        condition = policy.condition(batch.observations, generator)
        mask = batch.mask if self.mask_padding else torch.ones_like(batch.mask)
        return energy_unroll_loss(energy, condition, target, policy.dynamics, self, generator, mask)


def energy_unroll_loss(
    energy: Energy,
    condition: Float[Tensor, "B ..."],
    target: Float[Tensor, "B T A"],
    dynamics: Dynamics,
    unroll: EnergyUnroll,
    generator: torch.Generator,
    mask: Bool[Tensor, "B T"],
) -> tuple[Float[Tensor, ""], dict[str, float]]:
    """Return the squared error to the demonstrated chunks after walking down from noise, a mean over counted entries.

    There is no back-propagation through time: a step begins where the one before ended, as a constant.

    Args:
        energy: a scalar a chunk.
        condition: [B, ...] what the energy sees besides the chunk.
        target: [B, T, A] demonstrated chunks, normalised.
        dynamics: step size, momentum and scale, as when acting.
        unroll: how training walks down.
        generator: draws starts, number of steps, noise and step sizes.
        mask: [B, T] rows of the chunk that count.
    """

    def normal() -> Tensor:
        return torch.randn(target.shape, generator=generator, dtype=target.dtype)

    steps = unroll.steps + int(torch.randint(unroll.extra + 1, (), generator=generator))
    low, high = 1 / unroll.jitter, unroll.jitter
    gain = low + (high - low) * torch.rand(len(target), generator=generator, dtype=target.dtype)
    chunk, velocity = normal(), torch.zeros_like(target)
    losses, energies = list[Tensor](), list[float]()
    for index in range(steps):
        learn = not unroll.truncate or index == steps - 1
        noise = unroll.sigma(index, steps) * normal()
        walked = energy_step(
            energy, condition, chunk, velocity, dynamics, gain=gain, noise=noise, learn=learn, index=index
        )
        chunk, velocity = walked.chunk, walked.velocity
        energies.append(float(walked.energy.detach().mean()))
        if learn:
            losses.append((walked.chunk - target)[mask].square().mean())
    figures = {"unrolled": float(steps), "energy_first": energies[0], "energy_last": energies[-1]}
    return torch.stack(losses).mean(), figures
