"""Hierarchical credit: an episode beside its group, and its subgroup beside the best it could have done."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from pilothouse.core.parts import SLOT
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.budget_reward import BudgetReward, announced_budgets, budget_cap
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.normalize import moments, normalize_advantage


def shortfall(
    rewards: Float[Tensor, " N"], groups: Int[Tensor, " N"], budget: Float[Tensor, " N"], best: Float[Tensor, " N"]
) -> Float[Tensor, " N"]:
    """Return the mean reward of each episode's subgroup less the best it could have been.

    0 where there is nothing to compare: no budget, or a group of one.

    Args:
        rewards: [N] shaped rewards, NaN where nobody could judge.
        groups: [N] group of each episode.
        budget: [N] announced tokens; those of a group with the same number are a subgroup; NaN for none.
        best: [N] the largest reward within that budget.

    Source: arXiv 2507.15844, algorithm 1.
    """
    judged, told = rewards.isfinite(), ~budget.isnan()
    pairs = list(zip(map(int, groups), map(float, torch.where(told, budget, -1.0)), strict=True))
    place = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    subgroup = torch.tensor([place[pair] for pair in pairs], dtype=torch.long)
    values = torch.where(judged, rewards, 0.0)
    mean = moments(values, subgroup, judged).mean
    alone = moments(values, groups, torch.ones_like(judged)).count == 1
    return torch.where(told & judged & ~alone, mean - best, 0.0).to(rewards.dtype)


def hierarchical_advantage(
    rewards: Float[Tensor, " N"],
    groups: Int[Tensor, " N"],
    budget: Float[Tensor, " N"],
    best: Float[Tensor, " N"],
    w_intra: float = 1.0,
    eps: float = 1e-6,
) -> Float[Tensor, " N"]:
    """Return ``(R - mean_group) / (std_group + eps) + w (mean_subgroup - best)``, for loops other than this library's.

    Args:
        rewards: [N] shaped rewards.
        groups: [N] group of each episode.
        budget: [N] announced tokens.
        best: [N] the largest reward within that budget.
        w_intra: weight of the second term; 1 in the paper, 2 in the authors' code.
        eps: added to the std.

    Source: arXiv 2507.15844, algorithm 1.
    """
    return normalize_advantage(rewards, groups, eps=eps) + w_intra * shortfall(rewards, groups, budget, best)


class Hierarchical(BudgetReward):
    """``budget-reward`` around another credit, plus how far each subgroup stays behind what its budget allows.

    The second term is never positive and falls on right members of a weak subgroup too; it also pushes down a whole
    group that is wrong. ``w_intra`` below 1 tames both; "zero-variance" before it silences the second.

    Args:
        w_intra: weight of the second term; 1 in the paper, 2 in the authors' code, which adds it twice.
    """

    name: ClassVar[str] = "hierarchical"
    needs: ClassVar[frozenset[str]] = frozenset({"budgets"})
    of: Annotated[Credit, SLOT] = GRPO(eps=1e-6)
    w_intra: Annotated[float, Field(ge=0)] = 1.0

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the inner credit's weights on the shaped rewards, plus the subgroup's term."""
        shaped, budget = self.before(rollouts), announced_budgets(rollouts)
        best = budget_cap(budget, self.limit(rollouts), self.beta)
        behind = self.w_intra * shortfall(shaped.rewards, rollouts.groups, budget, best)
        return self.of(shaped) + behind[:, None] * rollouts.train_mask

    def requirements(self) -> frozenset[str]:
        """Return "budgets" and what the inner credit needs."""
        return self.needs | self.of.requirements()
