"""Importance correction: weights for the gap between the sampler's and the trainer's probabilities."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from pilothouse.core.parts import Catalogue, Part
from pilothouse.objectives.aggregate import shares
from pilothouse.objectives.base import Batch

Level: TypeAlias = Literal["token", "sequence"]


def sampler_ratio(batch: Batch, level: Level) -> tuple[Float[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Return ``pi_old / pi_sampler`` of each token, and which tokens are unknown to the sampler.

    Args:
        batch: the micro-batch; an unknown log-probability counts as equal to the trainer's.
        level: "token", or "sequence" for the product over a sequence's tokens.
    """
    sampler = batch.sampler_logprobs
    if sampler is None:
        sampler = torch.full_like(batch.old_logprobs, torch.nan)
    unknown = batch.mask & ~sampler.isfinite()
    log_ratio = torch.where(batch.mask & ~unknown, batch.old_logprobs - sampler, 0.0)
    if level == "sequence":
        log_ratio = log_ratio.sum(dim=1, keepdim=True).expand_as(log_ratio)
    return log_ratio.exp(), unknown


class Correction(Part):
    """Weights each token's loss for having been sampled by a slightly different policy than the trainer's."""

    catalogue: ClassVar[Catalogue] = Catalogue("correction", "pilothouse.objectives")

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, "B T"] | None, dict[str, float]]:
        """Return the weight of each token (``None`` for 1 everywhere), without gradient, and metrics."""
        raise NotImplementedError


class NoCorrection(Correction):
    """Takes the sampler's tokens as the trainer's own."""

    name: ClassVar[str] = "none"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, "B T"] | None, dict[str, float]]:
        """Return no weights."""
        return None, {}


class Truncated(Correction):
    """Weights by ``min(pi_old / pi_sampler, cap)`` (Yao et al. 2025, truncated importance sampling).

    Args:
        cap: largest weight.
        level: "token", or "sequence" for the product over a sequence.
    """

    name: ClassVar[str] = "truncated"
    cap: Annotated[float, Field(gt=0)] = 2.0
    level: Level = "token"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, "B T"] | None, dict[str, float]]:
        """Return the capped ratio; 1 where the sampler's log-probability is unknown."""
        ratio, unknown = sampler_ratio(batch, self.level)
        figures = {"importance_shift": ratio - 1, "importance_cut": ratio > self.cap, "importance_unknown": unknown}
        return ratio.clamp(max=self.cap), shares(batch.mask, batch.totals, **figures)


class Masked(Correction):
    """Drops tokens, or sequences, whose ``pi_old / pi_sampler`` leaves an interval; weights the rest by it.

    The denominator stays that of all tokens, so what is dropped shrinks the step.

    Args:
        low: smallest ratio kept (Ling Team 2025, arXiv 2510.18855, "IcePop": 0.5).
        high: largest ratio kept (same: 5).
        level: "token", or "sequence" for the product over a sequence.
    """

    name: ClassVar[str] = "masked"
    low: Annotated[float, Field(ge=0)] = 0.5
    high: Annotated[float, Field(gt=0)] = 5.0
    level: Level = "token"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, "B T"] | None, dict[str, float]]:
        """Return the ratio inside the interval and 0 outside; 1 where the sampler's log-probability is unknown."""
        ratio, unknown = sampler_ratio(batch, self.level)
        cut = (ratio < self.low) | (ratio > self.high)
        figures = {"importance_shift": ratio - 1, "importance_cut": cut, "importance_unknown": unknown}
        return ratio.masked_fill(cut, 0.0), shares(batch.mask, batch.totals, **figures)
