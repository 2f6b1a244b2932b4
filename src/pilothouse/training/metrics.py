"""The figures of one step."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.diagnostics import reward_stats
from pilothouse.credit.normalize import moments
from pilothouse.training.slots import Grown


def rollout_metrics(rollouts: Rollouts) -> dict[str, float]:
    """Return what the rollouts of a step say of the policy.

    ``entropy`` is the mean negative log-probability of the sampled tokens: an unbiased estimate of the policy's
    entropy in nats per token at the sampling temperature, free of a further forward pass.

    Args:
        rollouts: the step's episodes before selection; of none there is nothing to say.
    """
    if not len(rollouts):
        return {"episodes": 0.0} | dict.fromkeys(("reward", "accuracy", "length", "truncated", "entropy"), math.nan)
    judged = rollouts.rewards[rollouts.stats_mask]
    right = [e.score.correct for e in rollouts.episodes if e.score and e.score.correct is not None]
    known = rollouts.action_mask & rollouts.sampler_logprobs.isfinite()
    stats = reward_stats(rollouts)
    row: dict[str, float] = {
        "episodes": float(len(rollouts)),
        "reward": _mean(judged),
        "reward_std": float(judged.std()) if len(judged) > 1 else 0.0,
        "accuracy": sum(right) / len(right) if right else float("nan"),
        "length": float(rollouts.lengths.float().mean()),
        "length_correct": stats.length_correct,
        "length_wrong": stats.length_wrong,
        "length_max": float(rollouts.lengths.max()),
        "group_length_std": _spread(rollouts),
        "truncated": float(rollouts.truncated.float().mean()),
        "entropy": _mean(-rollouts.sampler_logprobs[known]),
        "group_std": stats.mean_group_std,
        "dead_groups": dead_share(rollouts),
        "verifier_errors": float((~rollouts.stats_mask).sum()),
    }
    for name, part in rollouts.reward_parts.items():
        row[f"reward/{name}"] = _mean(part[part.isfinite()])
    return row


def slot_metrics(grown: Grown) -> dict[str, float]:
    """Return how busy the slots of truncated rollouts were at a step.

    ``decode_steps`` counts lock-step decode steps: in one, every slot may draw a token. ``slot_use`` is the share of
    those chances that were taken.

    Args:
        grown: what the step's window left.
    """
    return {
        "slots": float(len(grown.episodes)),
        "decode_steps": float(grown.steps),
        "slot_use": grown.tokens / max(grown.steps * len(grown.episodes), 1),
    }


def _spread(rollouts: Rollouts) -> float:
    """Mean over episodes of the sample std of the lengths in their group, in tokens."""
    everyone = torch.ones(len(rollouts), dtype=torch.bool)
    return float(moments(rollouts.lengths.double(), rollouts.groups, everyone).std.mean())


def dead_share(rollouts: Rollouts) -> float:
    """Return the share of groups whose judged rewards are all equal: they teach a group-relative credit nothing."""
    groups, rewards = rollouts.groups[rollouts.stats_mask], rollouts.rewards[rollouts.stats_mask]
    count = rollouts.n_groups
    index = rollouts.groups.unique(return_inverse=True)[1][rollouts.stats_mask]
    if not len(groups):
        return 1.0
    high = torch.full((count,), -torch.inf).scatter_reduce(0, index, rewards, "amax")
    low = torch.full((count,), torch.inf).scatter_reduce(0, index, rewards, "amin")
    return float((high <= low).float().mean())


def _mean(values: Tensor) -> float:
    return float(values.mean()) if values.numel() else float("nan")
