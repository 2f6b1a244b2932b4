"""Supervised cross-entropy."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective


class CrossEntropy(Objective):
    """The negative log-likelihood of the tokens given; credit is not read.

    Args:
        aggregation: how token losses are averaged.
    """

    name: ClassVar[str] = "sft"
    aggregation: Aggregation = "token-mean"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss and its token mean, in nats."""
        loss = aggregate(-batch.logprobs, batch.mask, self.aggregation, batch.totals)
        return loss, shares(batch.mask, batch.totals, nll=-batch.logprobs)
