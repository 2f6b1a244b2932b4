"""The gap between the log-probabilities of the sampler and of the trainer, for the same weights and tokens."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def sampler_gap(trainer_logprobs: Float[Tensor, " M"], sampler_logprobs: Float[Tensor, " M"]) -> dict[str, float]:
    """Return how far the sampler's log-probabilities are from the trainer's.

    Args:
        trainer_logprobs: [M] of the tokens the policy chose, as the trainer computes them before the update.
        sampler_logprobs: [M] as the sampler reported them; not finite where unknown.

    Returns:
        ``gap_mean`` and ``gap_max``: mean and largest absolute difference, in nats; ``gap_kl``: KL(sampler || trainer)
        a token, by the k3 estimator; ``gap_unknown``: share of tokens the sampler could not tell. The first three are
        0 when it could tell none.
    """
    known = sampler_logprobs.isfinite()
    gap = (trainer_logprobs - sampler_logprobs)[known].double()
    total, count = known.numel(), gap.numel()
    if not count:
        return {"gap_mean": 0.0, "gap_max": 0.0, "gap_kl": 0.0, "gap_unknown": float(total > 0)}
    size = gap.abs()
    return {
        "gap_mean": float(size.mean()),
        "gap_max": float(size.max()),
        "gap_kl": float((torch.expm1(gap) - gap).mean()),
        "gap_unknown": 1.0 - count / total,
    }
