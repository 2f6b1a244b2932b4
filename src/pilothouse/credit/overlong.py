"""The overlong filter: truncated responses carry no loss."""

from __future__ import annotations

from typing import ClassVar

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select


class Overlong(Select):
    """Silences responses that hit their length limit (Yu et al. 2025, arXiv 2503.14476, section 3.4).

    Args:
        exclude_from_stats: also keep their rewards out of group and batch statistics.
    """

    name: ClassVar[str] = "overlong"
    exclude_from_stats: bool = False

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Take truncated responses out of ``train_mask``."""
        whole = ~rollouts.truncated
        counts = rollouts.stats_mask & whole if self.exclude_from_stats else rollouts.stats_mask
        return rollouts.replace(train_mask=rollouts.train_mask & whole[:, None], stats_mask=counts)
