"""Budget reward: a right answer is worth what its length is, beside the budget it announced."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.modifier import Modifier


def budget_cap(budget: Float[Tensor, " N"], limit: int, beta: float = 4.0) -> Float[Tensor, " N"]:
    """Return ``beta cos(pi b / 2L)``, the most that a response with budget b can earn.

    Args:
        budget: [N] announced tokens b.
        limit: length limit L, in tokens.
        beta: height of the curve.

    Source: arXiv 2507.15844, section 3.3 (f2).
    """
    return beta * torch.cos(math.pi * budget / (2 * limit))


def budget_reward(
    correct: Bool[Tensor, " N"],
    length: Int[Tensor, " N"],
    budget: Float[Tensor, " N"],
    limit: int,
    alpha: float,
    beta: float = 4.0,
    well_formed: Bool[Tensor, " N"] | None = None,
) -> Float[Tensor, " N"]:
    """Return ``min(f1, f2)`` of right answers within the limit, 0 of others, -1 of what has not the required form.

    ``f1 = beta cos(pi n / 2L) - alpha |n - b|`` and ``f2 = beta cos(pi b / 2L)``. Without a budget it is
    ``beta cos(pi n / 2L)``. The reward of a right answer never falls as it grows up to its budget, always falls beyond,
    and may become negative.

    Args:
        correct: [N] right answers.
        length: [N] tokens n, announcement included.
        budget: [N] announced tokens b; NaN where none was announced.
        limit: length limit L, in tokens.
        alpha: price of a token away from the budget.
        beta: height of the curve.
        well_formed: [N] responses of the required form; all by default.

    Source: arXiv 2507.15844, section 3.3; the minimum (the paper has f2 up to the budget and f1 beyond, which differs
        for very short answers alone) and -1 for what has not the form are those of the authors' code.
    """
    size = length.to(torch.get_default_dtype())
    curve = budget_cap(size, limit, beta)
    announced = torch.where(budget.isnan(), size, budget)
    worth = torch.where(
        budget.isnan(),
        curve,
        torch.minimum(curve - alpha * (size - announced).abs(), budget_cap(announced, limit, beta)),
    )
    reward = torch.where(correct & (length <= limit), worth, 0.0)
    return reward if well_formed is None else torch.where(well_formed, reward, -1.0)


def announced_budgets(rollouts: Rollouts) -> Float[Tensor, " N"]:
    """Return the budget that each episode was told to announce, from its tag "budget=512"; NaN where none was.

    Args:
        rollouts: the batch.
    """
    found = torch.full((len(rollouts),), torch.nan)
    for row, episode in enumerate(rollouts.episodes):
        for tag in episode.tags:
            if tag.startswith("budget="):
                found[row] = float(tag.removeprefix("budget="))
    return found


class BudgetReward(Modifier):
    """Replaces verdicts by ``budget_reward`` before the inner credit sees them.

    With a plain group nobody announces a budget, and right answers earn ``beta cos(pi n / 2L)``: shorter is better.

    Args:
        max_length: length limit L, in tokens; 0 takes the sampler's.
        alpha: price of a token away from the budget; 0 takes 1 / L.
        beta: height of the reward.
        correct_at: smallest verdict that counts as right.
        form: part of the reward that is 0 where the required form is missing, which then earns -1 (the authors' code);
            empty asks for no form.
    """

    name: ClassVar[str] = "budget-reward"
    max_length: Annotated[int, Field(ge=0)] = 0
    alpha: Annotated[float, Field(ge=0)] = 0.0
    beta: Annotated[float, Field(gt=0)] = 4.0
    correct_at: float = 0.5
    form: str = ""

    def limit(self, rollouts: Rollouts) -> int:
        """Return L."""
        return self.max_length or rollouts.max_length or rollouts.tokens.shape[1]

    def before(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts with the new rewards; those that nobody could judge stay unjudged."""
        limit = self.limit(rollouts)
        part = rollouts.reward_parts.get(self.form)
        worth = budget_reward(
            rollouts.rewards >= self.correct_at,
            rollouts.lengths,
            announced_budgets(rollouts),
            limit,
            self.alpha or 1 / limit,
            self.beta,
            None if part is None else ~(part == 0),
        )
        return rollouts.replace(rewards=torch.where(rollouts.rewards.isfinite(), worth, torch.nan))
