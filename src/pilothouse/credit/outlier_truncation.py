"""Outlier truncation: in groups that are all right, answers of freak length are cut short and judged again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PrivateAttr
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Score, ScoreStatus
from pilothouse.core.requests import StopReason
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Judge, Select
from pilothouse.credit.normalize import moments

LEAST_SHARE_TOKENS = 16  #: a margin given as a share of the length is never fewer tokens than this


@dataclass(frozen=True)
class Cut:
    """What truncation would do.

    Args:
        lengths: [N] response tokens that are kept.
        truncated: [N] responses that lose some.
        solved: [N] responses whose whole group is right.
        spared: [N] outliers left whole because they are too little over the limit.
    """

    lengths: Int[Tensor, " N"]
    truncated: Bool[Tensor, " N"]
    solved: Bool[Tensor, " N"]
    spared: Bool[Tensor, " N"]


def largest_z(size: int) -> float:
    """Return the largest number of sample standard deviations a member of a group can lie above its mean.

    Args:
        size: members of the group.

    Source: Samuelson 1968; ``(G - 1) / sqrt(G)`` with the sample std.
    """
    return (size - 1) / math.sqrt(size)


def outlier_truncation(
    groups: Int[Tensor, " N"],
    lengths: Int[Tensor, " N"],
    rewards: Float[Tensor, " N"],
    alpha: float = 3.0,
    margin: float = 32.0,
    success_threshold: float = 1.0,
    ddof: int = 1,
    success_value: float = 1.0,
) -> Cut:
    """Return where responses longer than ``floor(mean + alpha std)`` of their group end, in groups that are all right.

    Args:
        groups: [N] group of each response.
        lengths: [N] response tokens.
        rewards: [N] rewards, NaN where nobody could judge: such a group is not all right.
        alpha: standard deviations above the mean.
        margin: tokens that a cut must save at least; below 1 a share of the length, but never under 16 tokens.
        success_threshold: share of a group that must be right.
        ddof: degrees of freedom taken off the variance's denominator.
        success_value: the reward of a right response, to within 1e-6.

    Source: arXiv 2601.03969; the sample std and the margins are those of the authors' code.
    """
    right = ((rewards - success_value).abs() < 1e-6).float()
    everyone = torch.ones_like(groups, dtype=torch.bool)
    solved = moments(right, groups, everyone).mean >= success_threshold - 1e-9
    length = moments(lengths.double(), groups, everyone, ddof)
    limit = torch.floor(length.mean + alpha * length.std + 1e-9).long()
    excess = lengths - limit
    shares = (lengths * margin).long().clamp(min=LEAST_SHARE_TOKENS)
    least = shares if 0 < margin < 1 else torch.full_like(lengths, math.ceil(margin))
    outlier = solved & (excess > 0)
    truncated = outlier & (excess >= least)
    return Cut(torch.where(truncated, limit, lengths), truncated, solved, outlier & ~truncated)


def shorten(rollouts: Rollouts, lengths: Int[Tensor, " N"]) -> Rollouts:
    """Return the rollouts with each response cut after its first ``lengths`` tokens; rewards stay as they are.

    Args:
        rollouts: the episodes.
        lengths: [N] tokens to keep, at most those there are.
    """
    inside = torch.arange(rollouts.tokens.shape[1]) < lengths[:, None]
    episodes = tuple(
        episode
        if len(episode.tokens) <= size
        else replace(
            episode,
            tokens=episode.tokens[:size],
            action_mask=episode.action_mask[:size],
            logprobs=episode.logprobs[:size],
            segments=tuple(replace(s, stop=min(s.stop, size)) for s in episode.segments if s.start < size),
            stop_reason=StopReason.LENGTH,
        )
        for episode, size in zip(rollouts.episodes, map(int, lengths), strict=False)
    )
    return rollouts.replace(
        tokens=torch.where(inside, rollouts.tokens, 0),
        action_mask=rollouts.action_mask & inside,
        train_mask=rollouts.train_mask & inside,
        sampler_logprobs=torch.where(inside, rollouts.sampler_logprobs, 0.0),
        segments=torch.where(inside, rollouts.segments, -1),
        segment_values=torch.where(inside, rollouts.segment_values, torch.nan),
        lengths=torch.minimum(rollouts.lengths, lengths),
        episodes=episodes,
    )


class OutlierTruncation(Select):
    """Cuts freakishly long right answers and has them judged again, so that easy prompts push back on length.

    Only groups whose members are all right are touched; the cut normally loses the answer, and the group then teaches
    that the long response was a failure. Filter groups after this, never before: "outlier-truncation + zero-variance".

    Args:
        alpha: standard deviations of the group's lengths above their mean; short answers want 1.5 to 2.
        margin: tokens that a cut must save at least; below 1 a share of the length, but never under 16 tokens.
        success_threshold: share of a group that must be right.
        success_value: the reward of a right response; must be given when rewards are not 0 and 1.
    """

    name: ClassVar[str] = "outlier-truncation"
    alpha: float = Field(default=3.0, gt=0)
    margin: float = Field(default=32.0, ge=0)
    success_threshold: float = Field(default=1.0, gt=0, le=1)
    success_value: float | None = None
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts unchanged: the cut was made when they were revised."""
        return rollouts

    def revise(self, rollouts: Rollouts, judge: Judge) -> Rollouts:
        """Return the rollouts with outliers cut short and judged by the task on what is left of them.

        Raises:
            ConfigError: the rewards are not 0 and 1, and nobody said which one means right.
        """
        found = rollouts.rewards[rollouts.rewards.isfinite()]
        if self.success_value is None and not bool(((found == 0) | (found == 1)).all()):
            raise ConfigError(
                f"selector '{self.name}' must know which reward means right, and rewards here are not 0 and 1: give "
                "--select.success_value"
            )
        worth = 1.0 if self.success_value is None else self.success_value
        cut = outlier_truncation(
            rollouts.groups,
            rollouts.lengths,
            rollouts.rewards,
            self.alpha,
            self.margin,
            self.success_threshold,
            success_value=worth,
        )
        rows = [int(row) for row in cut.truncated.nonzero()]
        shorter = shorten(rollouts, cut.lengths)
        verdicts = judge([(row, _kept(shorter, row)) for row in rows]) if rows else []
        self._count(rollouts, cut, [verdict.reward < worth - 1e-6 for verdict in verdicts])
        return _judged(shorter, rows, verdicts)

    def refuses(self, group_size: int) -> str:
        """Return why no response of such a group could ever be cut, if none could."""
        if not group_size or largest_z(group_size) > self.alpha:
            return ""
        return (
            f"in a group of {group_size} nothing lies more than {largest_z(group_size):.2f} standard deviations above "
            f"the mean, so alpha {self.alpha:g} never cuts: use a larger --group or a smaller alpha"
        )

    def figures(self) -> dict[str, float]:
        """Return how much was cut at the last step."""
        return self._figures

    def _count(self, rollouts: Rollouts, cut: Cut, broken: list[bool]) -> None:
        count = max(len(rollouts), 1)
        self._figures = {
            "solved_groups": float(cut.solved.float().mean()),
            "cut_responses": len(broken) / count,
            "cut_tokens": float((rollouts.lengths - cut.lengths).sum()),
            "cut_spared": float(cut.spared.sum()) / count,
        }
        if broken:
            self._figures["cut_broken"] = sum(broken) / len(broken)


def _kept(rollouts: Rollouts, row: int) -> tuple[int, ...]:
    kept: Any = rollouts.tokens[row, : int(rollouts.lengths[row])]
    return tuple(kept.tolist())


def _judged(rollouts: Rollouts, rows: list[int], verdicts: list[Score]) -> Rollouts:
    """Put new verdicts in place; a response that nobody could judge carries no loss."""
    rewards, trained, counted = rollouts.rewards.clone(), rollouts.train_mask.clone(), rollouts.stats_mask.clone()
    episodes = list(rollouts.episodes)
    parts = {name: part.clone() for name, part in rollouts.reward_parts.items()}
    for row, verdict in zip(rows, verdicts, strict=True):
        rewards[row] = verdict.reward
        for name, part in parts.items():
            part[row] = verdict.parts.get(name, float("nan"))
        if verdict.status is not ScoreStatus.OK:
            trained[row], counted[row] = False, False
        if episodes:
            episodes[row] = episodes[row].scored(verdict)
    return rollouts.replace(
        rewards=rewards, train_mask=trained, stats_mask=counted, episodes=tuple(episodes), reward_parts=parts
    )
