"""Entropy bonus."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective


class EntropyBonus(Objective):
    """Rewards an undecided policy: the loss is minus the entropy (Williams & Peng 1991): ``clipped + 0.01*entropy``.

    Args:
        aggregation: how token losses are averaged.
    """

    name: ClassVar[str] = "entropy"
    needs: ClassVar[frozenset[str]] = frozenset({"entropy"})
    reads_credit: ClassVar[bool] = False
    aggregation: Aggregation = "token-mean"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return minus the entropy and the mean entropy a token, in nats."""
        entropy = self.supplied(batch.entropy, "entropy")
        loss = aggregate(-entropy, batch.mask, self.aggregation, batch.totals)
        return loss, shares(batch.mask, batch.totals, policy_entropy=entropy)
