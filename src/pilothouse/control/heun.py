"""The stochastic Heun sampler, open to a nudge before each of its steps."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Annotated, TypeAlias

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pilothouse.control.edm import Denoise, noise_levels
from pilothouse.core.parts import Settings

#: Called with the step, the noised data, its level and the denoiser; returns the data to go on from.
Nudge: TypeAlias = Callable[[int, Tensor, Tensor, Denoise], Tensor]


class HeunSampler(Settings):
    """From noise to data along the EDM schedule, with fresh noise at the middle levels and a correction of each step.

    Args:
        steps: sampler steps N.
        churn: how much noise is added and taken out again in all; 0 makes the way deterministic.
        churn_low: lowest level with churn.
        churn_high: highest level with churn.
        churn_noise: factor on the noise added.
        first_order: leave the correction out: half the network calls.
        compat: step from the data before the churn, as the released code does.

    Source: EDM, arXiv 2206.00364, algorithm 2.
    """

    steps: Annotated[int, Field(ge=2)] = 256
    churn: Annotated[float, Field(ge=0)] = 80.0
    churn_low: float = 0.05
    churn_high: float = 50.0
    churn_noise: float = 1.003
    first_order: bool = False
    compat: bool = False

    @torch.no_grad()
    def __call__(
        self, denoise: Denoise, shape: tuple[int, int, int], generator: torch.Generator, nudge: Nudge | None = None
    ) -> Float[Tensor, "N T C"]:
        """Return data of the given shape.

        Args:
            denoise: D(x, sigma).
            shape: N, T, C.
            generator: draws the first noise and the churn; a nudge draws nothing from it.
            nudge: changes the data before each step; ``None`` leaves it.
        """
        levels = noise_levels(self.steps).float()
        x = levels[0] * torch.randn(shape, generator=generator)
        for step, (now, then) in enumerate(pairwise(levels)):
            if nudge is not None:
                x = nudge(step, x, now, denoise)
            x = self._step(denoise, x, now, then, generator)
        return x

    def _step(self, denoise: Denoise, x: Tensor, now: Tensor, then: Tensor, generator: torch.Generator) -> Tensor:
        gamma = min(self.churn / self.steps, math.sqrt(2) - 1) if self.churn_low <= now <= self.churn_high else 0.0
        high, start = now * (1 + gamma), x
        if gamma:
            noise = torch.randn(x.shape, generator=generator)
            start = x + (high.square() - now.square()).sqrt() * self.churn_noise * noise
        count = len(x)
        slope = (start - denoise(start, high.expand(count))) / high
        origin = x if self.compat else start
        moved = origin + (then - high) * slope
        if self.first_order or then == 0:
            return moved
        there = (moved - denoise(moved, then.expand(count))) / then
        return origin + (then - high) * (slope + there) / 2
