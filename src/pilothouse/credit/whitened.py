"""Whitening: weights brought to mean 0 and standard deviation 1 over the trained tokens of the batch."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field, model_validator
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.modifier import Modifier


def live_tokens(rollouts: Rollouts) -> Bool[Tensor, "N T"]:
    """Return the trained tokens of episodes whose reward is finite."""
    return rollouts.train_mask & rollouts.rewards.isfinite()[:, None]


def whiten(
    weights: Float[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    counted: Bool[Tensor, "N T"],
    eps: float = 1e-8,
    ddof: int = 0,
    centre: bool = True,
) -> Float[Tensor, "N T"]:
    """Return ``(w - mean) / (std + eps)`` on the mask and 0 off it; all 0 when the counted weights are equal.

    Args:
        weights: [N, T] what to whiten.
        mask: [N, T] tokens that get a result.
        counted: [N, T] tokens that enter the mean and the std.
        eps: added to the std.
        ddof: degrees of freedom taken off the variance's denominator; 0 gives the population std.
        centre: whether the mean is taken off; without, the std alone divides.
    """
    values = weights[counted].double()
    if not values.numel() or values.min() == values.max():
        return torch.zeros_like(weights)
    scale, mean = torch.std_mean(values, correction=ddof)
    return torch.where(mask, (weights - float(mean) * centre) / (float(scale) + eps), 0.0)


class Whitened(Modifier):
    """Whitens the inner credit's weights over the trained tokens that count in statistics.

    Lite PPO must not be whitened: that would undo its scaling up to a constant (Liu et al. 2025, arXiv 2508.08221).

    Args:
        ddof: degrees of freedom taken off the variance's denominator; 0 gives the population std.
        centre: whether the mean is taken off; without, the std alone divides.
    """

    name: ClassVar[str] = "whitened"
    ddof: Annotated[int, Field(ge=0, le=1)] = 0
    centre: bool = True

    @model_validator(mode="after")
    def _scale_may_go(self) -> Whitened:
        if self.of.scale_matters():
            raise ValueError(
                f"whitening standardises away what credit '{self.of.name}' adds: put it the other way round, "
                f"'{self.of.name}' around 'whitened'"
            )
        return self

    def after(self, weights: Float[Tensor, "N T"], rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the whitened weights."""
        live = live_tokens(rollouts)
        return whiten(weights, live, live & rollouts.stats_mask[:, None], ddof=self.ddof, centre=self.centre)
