"""TreePO's advantage: a response compared with its group and with every nested subgroup that shares a beginning."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.normalize import moments
from pilothouse.credit.tree import Scale, levels, node_paths, scaled


class TreeSubgroup(Credit):
    """``A_i = mean_j (r_i - mean of G_j(i))``, G_j the responses that share the first j segments, G_0 the group.

    Subgroups of one say nothing and are left out. Without any sharing this is the group's mean as the baseline, on
    the batch's scale (Li et al. 2025, arXiv 2508.17445, equation 5).

    Args:
        weighting: "average" counts every subgroup alike, "group-size" by its responses (the paper's ablation).
        include_root: whether the whole group is one of the subgroups.
        reject_flat: leave out subgroups whose rewards are all equal.
        scale: "whiten" takes off the mean over the batch's trained tokens and divides by their std, as the paper's
            code does; "std" only divides, as its equation 5; "none" does neither.
    """

    name: ClassVar[str] = "tree-subgroup"
    group_relative: ClassVar[bool] = True
    reads_labels: ClassVar[frozenset[str]] = frozenset({"tree"})
    weighting: Literal["average", "group-size"] = "average"
    include_root: bool = True
    reject_flat: bool = False
    scale: Scale = "whiten"

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return each response's advantage on its trained tokens."""
        return scaled(self.advantages(rollouts)[:, None].expand(rollouts.tokens.shape), rollouts, self.scale)

    def advantages(self, rollouts: Rollouts) -> Float[Tensor, " N"]:
        """Return the advantage of each response before it is brought to scale; 0 where the verifier failed."""
        finite = rollouts.rewards.isfinite()
        rewards = torch.where(finite, rollouts.rewards, 0.0).double()
        counted = finite & rollouts.stats_mask
        total, shares = torch.zeros_like(rewards), torch.zeros_like(rewards)
        for depth, nodes in enumerate(levels(node_paths(rollouts, self.name))):
            if depth == 0 and not self.include_root:
                continue
            # An episode that has ended before this depth is in no subgroup there.
            there = nodes >= 0
            found = moments(rewards, nodes, counted & there, ddof=0)
            used = there & (found.count > (1 if depth else 0))
            if self.reject_flat:
                used &= found.std > 0
            share = used * (found.count.double() if self.weighting == "group-size" else 1.0)
            total += share * (rewards - found.mean)
            shares += share
        mean = torch.where(shares > 0, total / shares.clamp(min=1.0), 0.0)
        return torch.where(finite, mean, 0.0).to(rollouts.rewards.dtype)
