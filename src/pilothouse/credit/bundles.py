"""Bundles: one response from each of several prompts, scored together; and the way back to each response."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

Spread: TypeAlias = Literal["uniform", "score", "std", "sum-mean"]

#: Smallest spread that anything is divided by; below it, 1 takes its place.
SMALLEST_STD = 1e-3


def bundles(
    groups: Int[Tensor, " N"],
    counted: Bool[Tensor, " N"],
    size: int,
    generator: torch.Generator | None = None,
    drop_last: bool = False,
) -> list[Int[Tensor, "_ _"]]:
    """Return blocks of prompts; column j of a block holds the episodes of its j-th bundle, one a prompt.

    A block has as many bundles as its smallest group has counted episodes; the others' surplus is left out. Groups
    without a counted episode are passed over.

    Args:
        groups: [N] group of each episode; blocks take groups in ascending order.
        counted: [N] episodes that may enter a bundle.
        size: prompts a bundle (B).
        generator: shuffles the episodes of each prompt; without it bundle j takes the j-th of each.
        drop_last: leave out a last block of fewer prompts instead of making smaller bundles of it.

    Source: Ren et al. 2025 (RiskPO), arXiv 2510.00911, "bundling".
    """
    rows = counted.nonzero().flatten()
    if generator is not None:  # one shuffle of all, kept in order within a group, shuffles each group by itself
        rows = rows[torch.randperm(len(rows), generator=generator)]
    rows = rows[groups[rows].argsort(stable=True)]
    ends = (groups[rows].diff() != 0).nonzero().flatten() + 1
    members = list(rows.tensor_split(ends)) if len(rows) else []
    blocks = [members[start : start + size] for start in range(0, len(members), size)]
    if drop_last and blocks and len(blocks[-1]) < size:
        del blocks[-1]
    return [torch.stack([row[: min(map(len, block))] for row in block]) for block in blocks]


def spread(
    advantage: Float[Tensor, " G"],
    rewards: Float[Tensor, "B G"],
    mode: Spread,
    mean: Float[Tensor, "B 1"],
    std: Float[Tensor, "B 1"],
    max_ratio: float = 5.0,
) -> Float[Tensor, "B G"]:
    """Return the credit of each response in a bundle.

    ========  ==============================================================================
    mode      credit of a response
    ========  ==============================================================================
    uniform   the bundle's advantage A
    score     half of A if its reward is positive, else one and a half of A
    std       A over the std of its prompt's rewards (1 where that is almost 0)
    sum-mean  A d_i / sum d, with d the reward above its prompt's mean; A / B if the sum is 0
    ========  ==============================================================================

    Args:
        advantage: [G] advantage of each bundle.
        rewards: [B, G] reward of each response.
        mode: see above.
        mean: [B, 1] mean reward of each prompt.
        std: [B, 1] std of its rewards.
        max_ratio: largest magnitude of ``d_i / sum d``, whose denominator may be tiny.

    Source: the four credit modes of RiskPO's released code (arXiv 2510.00911); ``max_ratio`` is ours.
    """
    whole = advantage.expand_as(rewards)
    if mode == "score":
        return torch.where(rewards > 0, 0.5, 1.5).to(whole.dtype) * whole
    if mode == "std":
        return whole / torch.where(std > SMALLEST_STD, std, 1.0)
    if mode == "sum-mean":
        above = rewards - mean
        total = above.sum(dim=0)
        known = total.abs() > 1e-6
        ratio = (above / torch.where(known, total, 1.0)).clamp(-max_ratio, max_ratio)
        return whole * torch.where(known, ratio, 1 / len(rewards))
    return whole
