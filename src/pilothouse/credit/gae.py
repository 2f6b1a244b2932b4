"""Generalised advantage estimation over the tokens of a response, with learnt values as the baseline."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

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
    final: Float[Tensor, " N"] | None = None,
) -> Float[Tensor, "N T"]:
    """Return ``sum_l (gamma lam)^l delta_{t+l}`` with ``delta_t = r_t + gamma V_{t+1} - V_t``.

    Time runs over actions alone: text that a tool or the environment wrote takes none. Without values and with
    ``lam=1`` this is the discounted reward-to-go.

    Args:
        rewards: [N, T] reward of each action.
        actions: [N, T] tokens the policy chose.
        gamma: discount of an action.
        lam: weight of longer returns, 0 (one step) to 1 (the whole rest).
        values: [N, T] worth of the state in which each token is chosen; 0 by default.
        final: [N] worth of the state after the last action; 0 by default, as after an end.

    Returns:
        [N, T] advantages; outside ``actions``, that of the next action.

    Source: Schulman et al. 2016, arXiv 1506.02438, equations 11 and 16.
    """
    # Rows of time, so that each step of a recursion reads contiguous memory.
    acting = actions.T.contiguous()
    delta = torch.where(actions, rewards, 0.0).T.contiguous()
    if values is not None:
        worth = torch.where(actions, values, 0.0).T.contiguous()
        end = worth.new_zeros(len(actions)) if final is None else final.to(worth.dtype)
        ahead = torch.cat([worth, end[None]])
        passes = torch.cat([~acting, acting.new_zeros(1, len(actions))])
        nearest = _backward(ahead, passes.to(worth.dtype))  # value at the next action, this token's included
        delta += (gamma * nearest[1:] - worth) * acting
    return _backward(delta, torch.where(acting, gamma * lam, 1.0).to(delta.dtype)).T.contiguous()


def _backward(terms: Float[Tensor, "T N"], decay: Float[Tensor, "T N"]) -> Float[Tensor, "T N"]:
    """Return ``y_t = x_t + d_t y_{t+1}``, with 0 after the last row."""
    found, ahead = torch.empty_like(terms), terms.new_zeros(terms.shape[1])
    for step in range(len(terms) - 1, -1, -1):
        ahead = torch.addcmul(terms[step], decay[step], ahead, out=found[step])
    return found


def held_values(values: Float[Tensor, "N T"], actions: Bool[Tensor, "N T"]) -> Float[Tensor, " N"]:
    """Return the worth of the state in which each episode's last action was chosen; 0 if it has none.

    Taking it for the worth of the state after that action makes generalised advantages "extended": defined for a
    response that was cut, on the assumption that the cut changes nothing.

    Args:
        values: [N, T] worth of the state in which each token is chosen.
        actions: [N, T] tokens the policy chose.

    Source: Fan et al. 2025, arXiv 2506.15050, equation 6.
    """
    steps = torch.arange(1, actions.shape[1] + 1)
    last = (actions * steps).amax(dim=1, keepdim=True) - 1
    return torch.where(last >= 0, values.gather(1, last.clamp(min=0)), 0.0)[:, 0]


class GAE(Credit):
    """Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438), the credit of PPO.

    A response that hit its length limit ends like any other: its last action receives the reward and nothing is
    bootstrapped. One that was cut by ``training.window`` and goes on later has no reward yet, and ``cut`` says what
    the state after its last token is worth. ``gamma=1, lam=0.95`` are those of PPO on language models (Ziegler et al.
    2019, arXiv 1909.08593).

    Args:
        gamma: discount of an action.
        lam: weight of longer returns; 1 gives reward-to-go minus value.
        kl_coef: weight of the per-token penalty for leaving the reference policy, taken off the reward.
        whiten: bring the advantages of the trained tokens to mean 0 and standard deviation 1.
        value_lam: weight of longer returns in the targets of the values; 1 gives Monte-Carlo returns, by default
            ``lam``.
        cut: after a cut, "hold" takes the value of the state before the last token (Fan et al. 2025, arXiv
            2506.15050), "bootstrap" that of the state itself.
    """

    name: ClassVar[str] = "gae"
    teaches: ClassVar[Literal["", "values", "values_after"]] = "values"
    credits_unfinished: ClassVar[bool] = True
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0
    lam: Annotated[float, Field(ge=0, le=1)] = 0.95
    kl_coef: Annotated[float, Field(ge=0)] = 0.0
    whiten: bool = True
    value_lam: Annotated[float, Field(ge=0, le=1)] | None = None
    cut: Literal["hold", "bootstrap"] = "hold"

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the advantage of each trained token."""
        advantages, live = self._advantages(rollouts, self.lam), live_tokens(rollouts)
        if not self.whiten:
            return torch.where(live, advantages, 0.0)
        counted = rollouts.stats_mask if rollouts.unfinished is None else rollouts.stats_mask | rollouts.unfinished
        return whiten(advantages, live, live & counted[:, None])

    def returns(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return ``A + V`` of each trained token, the targets of the values (unwhitened)."""
        live, lam = live_tokens(rollouts), self.lam if self.value_lam is None else self.value_lam
        advantages = self._advantages(rollouts, lam)
        assert rollouts.values is not None
        return torch.where(live, advantages + rollouts.values, 0.0)

    def requirements(self) -> frozenset[str]:
        """Return the values, that after a cut if it is asked for, and log-probabilities if there is a penalty."""
        after = frozenset({"final_values"}) if self.cut == "bootstrap" else frozenset[str]()
        return frozenset({"values"}) | after | penalty_needs(self.kl_coef)

    def _advantages(self, rollouts: Rollouts, lam: float) -> Float[Tensor, "N T"]:
        values, actions = rollouts.values, rollouts.action_mask
        if values is None:
            raise ConfigError(
                "credit 'gae' needs values; train a policy with a value head, or use a credit without one"
            )
        rewards = token_rewards(rollouts, self.kl_coef)
        return generalized_advantages(rewards, actions, self.gamma, lam, values, self._final(rollouts, values))

    def _final(self, rollouts: Rollouts, values: Float[Tensor, "N T"]) -> Float[Tensor, " N"] | None:
        """What the state after the last action is worth: nothing after an end."""
        if rollouts.unfinished is None:
            return None
        after = held_values(values, rollouts.action_mask) if self.cut == "hold" else rollouts.final_values
        if after is None:
            raise ConfigError("cut='bootstrap' needs the value of the state after a cut; compute it or use cut='hold'")
        return torch.where(rollouts.unfinished, after, 0.0)


def penalty_needs(kl_coef: float) -> frozenset[str]:
    """Return what ``token_rewards`` needs computed."""
    return frozenset({"old_logprobs", "ref_logprobs"}) if kl_coef else frozenset()
