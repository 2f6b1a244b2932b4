"""One aggregation from per-token losses to a number, with named modes."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pilothouse.objectives.base import Totals

Aggregation: TypeAlias = Literal["token-mean", "sequence-mean", "sequence-sum", "fixed-length"]


def aggregate(
    loss: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], mode: Aggregation, totals: Totals
) -> Float[Tensor, ""]:
    """Return a micro-batch's share of the step's loss: the shares of any split of the rows add up to the same number.

    ==============  ==========================================================  =====================
    mode            formula                                                     used by
    ==============  ==========================================================  =====================
    token-mean      sum of all tokens / number of tokens                        DAPO, Lite PPO, PPO
    sequence-mean   mean over sequences of the mean over their tokens           GRPO, GSPO
    sequence-sum    mean over sequences of the sum over their tokens            RLOO, REINFORCE
    fixed-length    mean over sequences of (sum over their tokens / max length) Dr. GRPO
    ==============  ==========================================================  =====================

    Args:
        loss: [B, T] loss of each token; ignored, NaN included, where masked out.
        mask: [B, T] tokens with a loss.
        mode: how to average.
        totals: denominators of the whole optimiser step, not of this micro-batch.

    Source: Liu et al. 2025, arXiv 2508.08221, section 5; arXiv 2503.20783, section 3.2 for "fixed-length".
    """
    kept = torch.where(mask, loss, 0.0)
    if mode == "token-mean":
        return kept.sum() / max(totals.tokens, 1)
    sums = kept.sum(dim=1)
    if mode == "sequence-mean":
        sums = sums / mask.sum(dim=1).clamp(min=1)
    elif mode == "fixed-length":
        sums = sums / max(totals.max_length, 1)
    return sums.sum() / max(totals.sequences, 1)


def shares(mask: Bool[Tensor, "B T"], totals: Totals, **figures: Tensor) -> dict[str, float]:
    """Return token means of metrics as this micro-batch's share, moved off the device in one go.

    Args:
        mask: [B, T] tokens with a loss.
        totals: denominators of the whole optimiser step.
        figures: [B, T] figure of each token, by metric name.
    """
    sums = torch.stack([torch.where(mask, figure.detach().float(), 0.0).sum() for figure in figures.values()])
    return {name: float(total) for name, total in zip(figures, (sums / max(totals.tokens, 1)).cpu(), strict=True)}
