"""What a batch of rewards looks like, and which switches of policy-gradient training that speaks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.normalize import moments

ModelKind: TypeAlias = Literal["base", "aligned"]

#: Thresholds are our judgement: the paper calls rewards concentrated at a mean group std of about 0.05.
CONCENTRATED_STD = 0.1
TRUNCATION_RATE = 0.05


@dataclass(frozen=True)
class RewardStats:
    """A batch in figures; nan where there is nothing to average.

    Args:
        mean_reward: mean of the finite rewards.
        mean_group_std: mean over groups of the sample std of rewards.
        zero_std_groups: share of groups whose rewards are all equal.
        truncation_rate: share of responses that hit the length limit.
        length_correct: mean length of correct responses, in tokens.
        length_wrong: mean length of the others, in tokens.
        entropy: the sampler's entropy a token in nats, estimated by the mean of its negative log-probabilities.
    """

    mean_reward: float
    mean_group_std: float
    zero_std_groups: float
    truncation_rate: float
    length_correct: float
    length_wrong: float
    entropy: float


def reward_stats(rollouts: Rollouts, correct_at: float = 0.5) -> RewardStats:
    """Return the figures that the choice of techniques depends on.

    Args:
        rollouts: the batch.
        correct_at: smallest reward that counts as correct.
    """
    judged = rollouts.rewards.isfinite()
    group = moments(rollouts.rewards, rollouts.groups, judged)
    share = torch.where(judged, 1.0 / group.count.clamp(min=1), 0.0)  # of an episode in its group: groups weigh alike
    groups = share.sum().clamp(min=1)
    correct, lengths = rollouts.rewards >= correct_at, rollouts.lengths.float()
    chosen = rollouts.action_mask & rollouts.sampler_logprobs.isfinite()
    return RewardStats(
        mean_reward=_mean(rollouts.rewards, judged),
        mean_group_std=float((share * group.std).sum() / groups),
        zero_std_groups=float((share * (group.std == 0)).sum() / groups),
        truncation_rate=float(rollouts.truncated.float().mean()),
        length_correct=_mean(lengths, judged & correct),
        length_wrong=_mean(lengths, judged & ~correct),
        entropy=-float(rollouts.sampler_logprobs[chosen].mean()),
    )


def _mean(values: Float[Tensor, " N"], where: Bool[Tensor, " N"]) -> float:
    return float(values[where].mean())


def logprob_covariance(rollouts: Rollouts, weights: Float[Tensor, "N T"]) -> float:
    """Return the covariance over trained episodes of a response's log-probability and its mean credit.

    One natural-gradient step changes the policy's entropy by about minus this, times the step (Cui et al. 2025, arXiv
    2505.22617, theorem 1); nan with fewer than two episodes or a sampler that gives no log-probabilities.

    Args:
        rollouts: the batch.
        weights: [N, T] credit of each token.
    """
    tokens = rollouts.train_mask & rollouts.sampler_logprobs.isfinite()
    kept = tokens.any(dim=1)
    if int(kept.sum()) < 2:
        return float("nan")
    logprob, credit = (torch.where(tokens, x, 0.0).sum(dim=1) for x in (rollouts.sampler_logprobs, weights))
    pair = torch.stack([logprob, credit / tokens.sum(dim=1).clamp(min=1)])
    return float(torch.cov(pair[:, kept].double())[0, 1])


@dataclass(frozen=True)
class Advice:
    """One switch to set.

    Args:
        setting: its dotted name in a policy-gradient method's configuration.
        value: what to set it to.
        takeaway: the numbered takeaway of Liu et al. 2025 (arXiv 2508.08221) it follows from.
        reason: that takeaway and the figure that called for it, in a sentence.
    """

    setting: str
    value: str | float
    takeaway: int
    reason: str


def recommend(stats: RewardStats, model_kind: ModelKind = "base") -> tuple[Advice, ...]:
    """Return the switches that a batch and a kind of model speak for, each with the takeaway it follows from.

    Args:
        stats: figures of a batch.
        model_kind: "base" for a pre-trained model, "aligned" for an instruction-tuned one.

    Source: Liu et al. 2025, arXiv 2508.08221, takeaways 1 to 7; the thresholds are our judgement.
    """
    spread = stats.mean_group_std
    if spread < CONCENTRATED_STD:
        why = f"rewards are concentrated (mean group std {spread:.3g}): dividing by a small std amplifies noise"
        advice = [Advice("credit", "dr-grpo", 2, why)]
    else:
        why = f"the group's mean with the batch's std is the robust pair (mean group std {spread:.3g})"
        advice = [Advice("credit", "lite-ppo", 3, why)]
    if model_kind == "base":
        why = "averaging over tokens helps base models"
        advice.append(Advice("objective.aggregation", "token-mean", 5, why))
    else:
        why = "a higher upper bound slows the entropy collapse of aligned models"
        advice.append(Advice("objective.eps_high", 0.28, 4, why))
        why = "for aligned models averaging over sequences is as good or better"
        advice.append(Advice("objective.aggregation", "sequence-mean", 5, why))
    if (cut := stats.truncation_rate) > TRUNCATION_RATE:
        why = f"{cut:.0%} of the responses hit the length limit: overlong filtering helps when the limit is short"
        advice.append(Advice("select", "overlong", 6, why))
    return tuple(advice)
