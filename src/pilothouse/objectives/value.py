"""Regression of the value head."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective


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
        error = (values - returns).square()
        clipped = error
        if self.eps:
            old = torch.where(mask, self.supplied(batch.old_values, "old_values"), 0.0)
            clipped = (torch.clamp(values, old - self.eps, old + self.eps) - returns).square()
        loss = torch.maximum(error, clipped) / 2
        figures = shares(mask, batch.totals, value_loss=loss, value_clip=clipped > error)
        return aggregate(loss, mask, self.aggregation, batch.totals), figures
