"""The difficulty band: prompts that are neither solved nor hopeless."""

from __future__ import annotations

from typing import ClassVar

from pydantic import model_validator

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select
from pilothouse.credit.normalize import moments


class DifficultyBand(Select):
    """Keeps prompts with ``lo < mean reward of the group < hi``; the defaults are ROLL's.

    Args:
        lo: prompts at or below it are too hard.
        hi: prompts at or above it are too easy.
    """

    name: ClassVar[str] = "difficulty-band"
    drops_groups: ClassVar[bool] = True
    lo: float = 0.1
    hi: float = 0.95

    @model_validator(mode="after")
    def _ordered(self) -> DifficultyBand:
        if self.lo >= self.hi:
            raise ValueError(f"lo {self.lo} must be below hi {self.hi}")
        return self

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Take prompts outside the band, or without a counted reward, out of ``train_mask``."""
        counted = rollouts.stats_mask & rollouts.rewards.isfinite()
        group = moments(rollouts.rewards, rollouts.groups, counted)
        kept = (group.count > 0) & (group.mean > self.lo) & (group.mean < self.hi)
        return rollouts.replace(train_mask=rollouts.train_mask & kept[:, None])
