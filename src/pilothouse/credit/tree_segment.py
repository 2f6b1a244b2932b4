"""A segment's own credit in a tree of responses: what its end is worth above what its beginning was worth."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.tree import Node, Scale, by_segment, node_paths, scaled


class TreeSegment(Credit):
    """Every token of a segment weighs ``V(node) - damping^k V(parent)``, k the segments before it.

    The worth V of a response's last node is its reward, that of any other node the mean of its children's. This is the
    second estimator in TreePO's code (Li et al. 2025, arXiv 2508.17445), a comparator of ``tree-subgroup``.

    Args:
        damping: 1 compares with the parent's whole worth; less fades that out with depth.
        scale: "whiten" takes off the mean over the batch's trained tokens and divides by their std; "std" only
            divides; "none" does neither.
    """

    name: ClassVar[str] = "tree-segment"
    group_relative: ClassVar[bool] = True
    reads_labels: ClassVar[frozenset[str]] = frozenset({"tree"})
    damping: Annotated[float, Field(gt=0, le=1)] = 1.0
    scale: Scale = "whiten"

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the advantage of each token's segment."""
        paths = node_paths(rollouts, self.name)
        rewards = torch.where(rollouts.stats_mask, rollouts.rewards, torch.nan)
        worth = node_values(paths, [float(reward) for reward in rewards])

        def gain(row: int, at: int) -> float:
            found = worth[paths[row][at + 1]] - self.damping**at * worth[paths[row][at]]
            return found if math.isfinite(found) else 0.0

        return scaled(by_segment(rollouts, gain).to(rollouts.rewards.dtype), rollouts, self.scale)


def node_values(paths: list[list[Node]], rewards: list[float]) -> dict[Node, float]:
    """Return what each node is worth: a reward at the end of a response, elsewhere the mean of the node's children.

    Args:
        paths: each episode's nodes, from the prompt to its end.
        rewards: each episode's reward; NaN leaves the episode out.

    Returns:
        The worth by node; NaN for nodes that no counted episode passes through.
    """
    worth: dict[Node, float] = {}
    children: dict[Node, list[Node]] = {}
    for path, reward in zip(paths, rewards, strict=True):
        worth[path[-1]] = reward
        for parent, child in pairwise(path):
            known = children.setdefault(parent, [])
            if child not in known:
                known.append(child)
    # A node's label is longer than its parent's, so children come before parents.
    for node in sorted(children, key=lambda node: len(node[1]), reverse=True):
        told = [worth[child] for child in children[node] if not math.isnan(worth[child])]
        # The mean of equal rewards is that reward, not what rounding makes of it.
        equal = bool(told) and min(told) == max(told)
        worth[node] = told[0] if equal else math.fsum(told) / len(told) if told else math.nan
    return worth
