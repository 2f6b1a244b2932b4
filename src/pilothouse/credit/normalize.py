"""Rewards to advantages: one function for the whole family of critic-free normalisers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pilothouse.core.errors import ConfigError

Mean: TypeAlias = Literal["group", "batch", "none", "running", "loo"]
Std: TypeAlias = Literal["group", "batch", "none", "running"]


@dataclass
class Running:
    """Mean and spread of every reward seen so far (Chan, Golub & LeVeque 1983, the batched form of Welford's update).

    Args:
        count: rewards seen.
        mean: their mean.
        squares: sum of their squared distances from the mean.
    """

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def update(self, rewards: Float[Tensor, " N"]) -> None:
        """Take in a batch of finite rewards."""
        if not (new := rewards.numel()):
            return
        values = rewards.double()
        mean = float(values[0] if values.min() == values.max() else values.mean())  # exact for equal rewards
        total, shift = self.count + new, mean - self.mean
        self.squares += float((values - mean).square().sum()) + shift**2 * self.count * new / total
        self.mean += shift * new / total
        self.count = total

    def std(self, ddof: int = 1) -> float:
        """Return the standard deviation; 0 when too few rewards were seen."""
        return (self.squares / (self.count - ddof)) ** 0.5 if self.count > ddof else 0.0


@dataclass(frozen=True)
class Moments:
    """Statistics of the set each episode belongs to, in double precision.

    Args:
        count: [N] counted episodes in it.
        mean: [N] their mean reward; 0 when there are none.
        std: [N] their standard deviation; 0 when, and only when, all are equal or there are too few.
    """

    count: Int[Tensor, " N"]
    mean: Float[Tensor, " N"]
    std: Float[Tensor, " N"]


def moments(
    rewards: Float[Tensor, " N"], groups: Int[Tensor, " N"], counted: Bool[Tensor, " N"], ddof: int = 1
) -> Moments:
    """Return the statistics of each episode's group, ragged groups included.

    Args:
        rewards: [N] total rewards.
        groups: [N] group of each episode; any integers.
        counted: [N] episodes that enter the statistics; their rewards are finite.
        ddof: degrees of freedom taken off the variance's denominator.
    """
    index = torch.searchsorted(groups.sort().values, groups)  # equal labels share the place of the first of them
    members, values, size = index[counted], rewards[counted].double(), rewards.numel()
    count = torch.zeros(size, dtype=torch.long).index_add_(0, members, torch.ones_like(members))
    lowest = values.new_full((size,), torch.inf).scatter_reduce_(0, members, values, "amin")
    highest = values.new_full((size,), -torch.inf).scatter_reduce_(0, members, values, "amax")
    mean = values.new_zeros(size).index_add_(0, members, values) / count.clamp(min=1)
    # Rounding in the sum would leave equal rewards a hair from their mean, which a small std then blows up.
    mean = torch.where(lowest == highest, lowest, mean)
    squares = values.new_zeros(size).index_add_(0, members, (values - mean[members]).square())
    std = (squares / (count - ddof).clamp(min=1)).sqrt()
    return Moments(count[index], mean[index], std[index])


def normalize_advantage(
    rewards: Float[Tensor, " N"],
    groups: Int[Tensor, " N"],
    *,
    mean: Mean = "group",
    std: Std = "group",
    eps: float = 1e-6,
    ddof: int = 1,
    stats_mask: Bool[Tensor, " N"] | None = None,
    running: Running | None = None,
) -> Float[Tensor, " N"]:
    """Return ``(r - mean) / (std + eps)``, with the mean and the std taken over sets chosen apart.

    The std is that of the raw rewards, whatever the mean is. Where there is nothing to compare with (an std of 0, a
    group without a counted reward, a group of one for "loo") the advantage is exactly 0. So it is for rewards that
    are not finite, which enter no statistic.

    Args:
        rewards: [N] total rewards, NaN where the verifier failed.
        groups: [N] group of each episode; any integers, groups of any size.
        mean: baseline: "group", "batch", "running" (all so far), "loo" (the group's others), or "none".
        std: scale: "group", "batch", "running", or "none".
        eps: added to the std.
        ddof: degrees of freedom taken off the variance's denominator.
        stats_mask: [N] episodes that enter the statistics; all by default.
        running: statistics for "running", read and not changed.

    Raises:
        ConfigError: "running" was asked for without statistics.

    Source: Liu et al. 2025, arXiv 2508.08221, section 4; "loo": Ahmadian et al. 2024, arXiv 2402.14740, equation 8.
    """
    judged = rewards.isfinite()
    counted = judged if stats_mask is None else judged & stats_mask
    values = torch.where(judged, rewards, 0.0).double()
    advantage = values
    if mean != "none":
        chosen = _over(mean, values, groups, counted, ddof, running)
        advantage = torch.where(chosen.count > 0, values - chosen.mean, 0.0)
        if mean == "loo":
            others = chosen.count / (chosen.count - 1).clamp(min=1)
            advantage = torch.where(counted, advantage * others, advantage)
    if std != "none":
        scale = _over(std, values, groups, counted, ddof, running).std
        advantage = torch.where(scale > 0, advantage / torch.where(scale > 0, scale + eps, 1.0), 0.0)
    return torch.where(judged, advantage, 0.0).to(rewards.dtype)


def _over(
    what: Mean,
    values: Float[Tensor, " N"],
    groups: Int[Tensor, " N"],
    counted: Bool[Tensor, " N"],
    ddof: int,
    running: Running | None,
) -> Moments:
    if what != "running":
        return moments(values, torch.zeros_like(groups) if what == "batch" else groups, counted, ddof)
    if running is None:
        raise ConfigError("'running' statistics need a Running object; pass running=Running()")
    mean, std = torch.full_like(values, running.mean), torch.full_like(values, running.std(ddof))
    return Moments(torch.full_like(groups, running.count), mean, std)
