"""The zero-variance filter: groups whose rewards are all equal carry no loss."""

from __future__ import annotations

from typing import ClassVar

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select
from pilothouse.credit.normalize import moments


class ZeroVariance(Select):
    """Silences groups whose counted rewards are exactly equal (Yu et al. 2025, arXiv 2503.14476, section 3.2).

    They would have weight 0 under a group-relative credit; left in, they still swell the loss's denominator. Their
    rewards stay in the batch's statistics.
    """

    name: ClassVar[str] = "zero-variance"
    drops_groups: ClassVar[bool] = True
    keeps_differing: ClassVar[bool] = True

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Take the groups without differing rewards out of ``train_mask``."""
        counted = rollouts.stats_mask & rollouts.rewards.isfinite()
        varied = moments(rollouts.rewards, rollouts.groups, counted).std > 0
        return rollouts.replace(train_mask=rollouts.train_mask & varied[:, None])
