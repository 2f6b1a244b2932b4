"""REINFORCE++: reward-to-go, whitened over every trained token of the batch."""

from __future__ import annotations

from typing import Annotated, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.gae import generalized_advantages, penalty_needs, token_rewards
from pilothouse.credit.whitened import live_tokens, whiten


class ReinforcePP(Credit):
    """``A_t = (R_t - mean) / std`` over the batch's tokens, ``R_t = r - beta sum_{s >= t} KL_s``.

    GAE without a critic (V = 0, lambda = 1), whitened over the whole batch (Hu 2025, arXiv 2501.03262, section 3).
    Tokens, not episodes, enter the statistics, as in the author's OpenRLHF; the same over episodes is
    ``normalized`` with mean and std "batch". The penalty is off by default; the paper leaves its weight open.

    Args:
        kl_coef: weight beta of the per-token penalty for leaving the reference policy.
        gamma: discount of an action.
    """

    name: ClassVar[str] = "reinforce-pp"
    kl_coef: Annotated[float, Field(ge=0)] = 0.0
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the whitened reward-to-go of each trained token."""
        rewards, live = token_rewards(rollouts, self.kl_coef), live_tokens(rollouts)
        to_go = generalized_advantages(rewards, rollouts.action_mask, self.gamma, lam=1.0)
        return whiten(to_go, live, live & rollouts.stats_mask[:, None])

    def requirements(self) -> frozenset[str]:
        """Return both policies' log-probabilities if there is a penalty."""
        return penalty_needs(self.kl_coef)
