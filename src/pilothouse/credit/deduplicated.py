"""Shared beginnings counted once: a token that several responses of a tree share weighs as one token in the loss."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.modifier import Modifier
from pilothouse.credit.tree import by_segment, node_paths
from pilothouse.credit.whitened import live_tokens


class Deduplicated(Modifier):
    """Divides the inner credit's weight of each token by the number of trained responses that share it.

    A tree's shared segments enter the loss once for each response below them, so a mean over tokens favours early
    segments. The weights are brought to the scale at which the mean over all tokens is the mean over distinct ones.
    """

    name: ClassVar[str] = "deduplicated"
    reads_labels: ClassVar[frozenset[str]] = frozenset({"tree"})

    def after(self, weights: Float[Tensor, "N T"], rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the weights, shared among the copies of a token."""
        live = live_tokens(rollouts)
        paths = node_paths(rollouts, self.name)
        trained = [bool(there) for there in live.any(dim=1)]
        copies = Counter(node for path, there in zip(paths, trained, strict=True) if there for node in path)
        share = by_segment(rollouts, lambda row, at: 1.0 / max(copies[paths[row][at + 1]], 1)) * live
        distinct = float(share.sum())
        return weights * share * (float(live.sum()) / distinct) if distinct else weights * share
