"""Generalised advantage estimation over the tokens of a response, with a value head as the baseline."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

from pilothouse.core.errors import ConfigError
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.whitened import live_tokens, whiten


def token_rewards(rollouts: Rollouts, kl_coef: float = 0.0) -> Float[Tensor, "N T"]:
    """Return the reward of each action: the episode's on its last one, less a penalty for leaving the reference.

    Args:
        rollouts: the episodes; a reward that is not finite counts as 0.
        kl_coef: weight of ``log pi_old - log pi_ref`` of each action.

    Raises:
        ConfigError: there is a penalty and no log-probabilities to take it from.

    Source: Ouyang et al. 2022, arXiv 2203.02155, equation 2.
    """
    actions = rollouts.action_mask
    last = actions & (actions.flip(1).cumsum(1).flip(1) == 1)
    rewards = torch.where(rollouts.rewards.isfinite(), rollouts.rewards, 0.0)[:, None] * last
    if kl_coef == 0:
        return rewards
    if rollouts.old_logprobs is None or rollouts.ref_logprobs is None:
        raise ConfigError("kl_coef needs old_logprobs and ref_logprobs; compute them first or set kl_coef to 0")
    return rewards - kl_coef * torch.where(actions, rollouts.old_logprobs - rollouts.ref_logprobs, 0.0)


def generalized_advantages(
    rewards: Float[Tensor, "N T"],
    actions: Bool[Tensor, "N T"],
    gamma: float,
    lam: float,
    values: Float[Tensor, "N T"] | None = None,
) -> Float[Tensor, "N T"]:
    """Return ``sum_l (gamma lam)^l delta_{t+l}`` with ``delta_t = r_t + gamma V_{t+1} - V_t``.

    Time runs over actions alone: text that a tool or the environment wrote takes none. The state after the last
    action is worth 0. Without values and with ``lam=1`` this is the discounted reward-to-go.

    Args:
        rewards: [N, T] reward of each action.
        actions: [N, T] tokens the policy chose.
        gamma: discount of an action.
        lam: weight of longer returns, 0 (one step) to 1 (the whole rest).
        values: [N, T] worth of the state in which each token is chosen; 0 by default.

    Returns:
        [N, T] advantages; outside ``actions``, that of the next action.

    Source: Schulman et al. 2016, arXiv 1506.02438, equations 11 and 16.
    """
    # Rows of time, so that each step of a recursion reads contiguous memory.
    acting = actions.T.contiguous()
    delta = torch.where(actions, rewards, 0.0).T.contiguous()
    if values is not None:
        worth = torch.where(actions, values, 0.0).T.contiguous()
        nearest = _backward(worth, (~acting).to(worth.dtype))  # value at the next action, this token's included
        delta += (gamma * pad(nearest[1:], (0, 0, 0, 1)) - worth) * acting
    return _backward(delta, torch.where(acting, gamma * lam, 1.0).to(delta.dtype)).T.contiguous()


def _backward(terms: Float[Tensor, "T N"], decay: Float[Tensor, "T N"]) -> Float[Tensor, "T N"]:
    """Return ``y_t = x_t + d_t y_{t+1}``, with 0 after the last row."""
    found, ahead = torch.empty_like(terms), terms.new_zeros(terms.shape[1])
    for step in range(len(terms) - 1, -1, -1):
        ahead = torch.addcmul(terms[step], decay[step], ahead, out=found[step])
    return found


class GAE(Credit):
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438), the credit of PPO.

    A truncated response ends like any other: its last action receives the reward and nothing is bootstrapped.
    ``gamma=1, lam=0.95`` are those of PPO on language models (Ziegler et al. 2019, arXiv 1909.08593).

    Args:
        gamma: discount of an action.
        lam: weight of longer returns; 1 gives reward-to-go minus value.
        kl_coef: weight of the per-token penalty for leaving the reference policy, taken off the reward.
        whiten: bring the advantages of the trained tokens to mean 0 and standard deviation 1.
    """

    name: ClassVar[str] = "gae"
    teaches: ClassVar[Literal["", "values", "values_after"]] = "values"
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    lam: Annotated[float, Field(ge=0, le=1)] = 0.95
    kl_coef: Annotated[float, Field(ge=0)] = 0.0
    whiten: bool = True

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the advantage of each trained token."""
        advantages, live = self._advantages(rollouts)[0], live_tokens(rollouts)
        if self.whiten:
            return whiten(advantages, live, live & rollouts.stats_mask[:, None])
        return torch.where(live, advantages, 0.0)

    def returns(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return ``A + V`` of each trained token, the value head's targets (unwhitened)."""
        advantages, values = self._advantages(rollouts)
        return torch.where(live_tokens(rollouts), advantages + values, 0.0)

    def requirements(self) -> frozenset[str]:
        """Return the values, and both policies' log-probabilities if there is a penalty."""
        return frozenset({"values"}) | penalty_needs(self.kl_coef)

    def _advantages(self, rollouts: Rollouts) -> tuple[Float[Tensor, "N T"], Float[Tensor, "N T"]]:
        if rollouts.values is None:
            raise ConfigError(
                "credit 'gae' needs values; train a policy with a value head, or use a credit without one"
            )
        rewards = token_rewards(rollouts, self.kl_coef)
        values = rollouts.values
        return generalized_advantages(rewards, rollouts.action_mask, self.gamma, self.lam, values), values


def penalty_needs(kl_coef: float) -> frozenset[str]:
    """Return what ``token_rewards`` needs computed."""
    return frozenset({"old_logprobs", "ref_logprobs"}) if kl_coef else frozenset()
