"""Regression of the value head."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective


def value_errors(
    values: Float[Tensor, "B T"], returns: Float[Tensor, "B T"], old: Float[Tensor, "B T"], eps: float
) -> tuple[Float[Tensor, "B T"], Bool[Tensor, "B T"]]:
    """Return half the squared error of each value, and where clipping stops its gradient.

    Args:
        values: [B, T] estimates.
        returns: [B, T] their targets.
        old: [B, T] estimates before the update.
        eps: how far a value may move from the old one before its gradient stops; 0 for no clipping.
    """
    error = (values - returns).square()
    if not eps:
        return error / 2, torch.zeros_like(error, dtype=torch.bool)
    clipped = (torch.clamp(values, old - eps, old + eps) - returns).square()
    return torch.maximum(error, clipped) / 2, clipped > error


class ValueLoss(Objective):
    """Half the squared distance to the returns, clipped around the old values: ``clipped + 0.5*value``.

    ``max((V - R)^2, (clip(V, V_old - eps, V_old + eps) - R)^2) / 2``, as PPO's reference code has it (Schulman et al.
    2017, arXiv 1707.06347).

    Args:
        eps: how far a value may move from the old one before its gradient stops; 0 for no clipping.
        aggregation: how token losses are averaged.
    """

    name: ClassVar[str] = "value"
    needs: ClassVar[frozenset[str]] = frozenset({"values"})
    eps: Annotated[float, Field(ge=0)] = 0.2
    aggregation: Aggregation = "token-mean"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss, its token mean and the share of tokens whose gradient is stopped."""
        mask = batch.mask
        values = torch.where(mask, self.supplied(batch.values, "values"), 0.0)
        returns = torch.where(mask, self.supplied(batch.returns, "returns"), 0.0)
        old = torch.where(mask, self.supplied(batch.old_values, "old_values"), 0.0) if self.eps else values.detach()
        loss, stopped = value_errors(values, returns, old, self.eps)
        figures = shares(mask, batch.totals, value_loss=loss, value_clip=stopped)
        return aggregate(loss, mask, self.aggregation, batch.totals), figures


class StepValueLoss(Objective):
    """Squared distance of the value after a token to its target, where it has one: ``weighted-sft + 0.1*step-value``.

    ``sum (V - target)^2 / (number of targets + 1e-3)``, as AlphaMath's notes on its implementation have it (Chen et al.
    2024, arXiv 2405.03553, equation 8, second term). Only the ends of steps have targets; NaN is none.
    """

    name: ClassVar[str] = "step-value"
    needs: ClassVar[frozenset[str]] = frozenset({"values_after"})

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss, also as a metric."""
        values, returns = self.supplied(batch.values_after, "values_after"), self.supplied(batch.returns, "returns")
        held = batch.mask & ~returns.isnan()
        error = (torch.where(held, values, 0.0) - torch.where(held, returns, 0.0)).square()
        loss = error.sum() / (batch.totals.targets + 1e-3)
        return loss, {"step_value_loss": float(loss.detach())}
