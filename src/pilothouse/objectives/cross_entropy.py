"""Supervised cross-entropy."""

from __future__ import annotations

from typing import ClassVar

import torch
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
    reads_credit: ClassVar[bool] = False
    aggregation: Aggregation = "token-mean"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss and its token mean, in nats."""
        loss = aggregate(-batch.logprobs, batch.mask, self.aggregation, batch.totals)
        return loss, shares(batch.mask, batch.totals, nll=-batch.logprobs)


class WeightedCrossEntropy(Objective):
    """The negative log-likelihood of the tokens given, each times its credit: ``sum(w nll) / number of w != 0``.

    With weights of 0 and 1 it is the mean over the tokens that are imitated, and 0 if there are none; the others have
    no gradient (rejection sampling; AlphaMath, arXiv 2405.03553, equation 8, first term).
    """

    name: ClassVar[str] = "weighted-sft"
    weights_only: ClassVar[bool] = True

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss, the mean nll of all tokens, in nats, and the share of tokens that are imitated."""
        kept = batch.mask & (batch.weights != 0)
        nll = torch.where(batch.mask, -batch.logprobs, 0.0)
        loss = torch.where(kept, batch.weights * nll, 0.0).sum() / max(batch.totals.weighted, 1)
        return loss, shares(batch.mask, batch.totals, nll=nll, imitated=kept)
