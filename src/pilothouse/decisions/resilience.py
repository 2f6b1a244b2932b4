"""How stubbornly content comes back: removals until it stays away, over repeats of resampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilothouse.core.branches import Branch
from pilothouse.decisions.measures import Measure, bootstrap_mean


@dataclass(frozen=True)
class Resilience(Measure):
    """Mean removals until content stays away.

    Args:
        capped: share of repeats that were stopped at the largest number of removals: the score is then a lower bound.
    """

    capped: float = 0.0


def resilience(
    branches: Sequence[Branch],
    *,
    rng: np.random.Generator,
    positions: int = 0,
    most: int = 20,
    level: float = 0.95,
    resamples: int = 1000,
) -> Resilience:
    """Return the mean number of removals with a bootstrap interval over repeats.

    A high score may mean that the content matters or that it is redundant: read it with CI++.

    Args:
        branches: one a repeat, with its ``removals``.
        rng: draws the resamples.
        positions: divide by this number of remaining positions; 0 does not.
        most: removals at which a repeat was stopped.
        level: coverage.
        resamples: bootstrap resamples.

    Source: Thought Branches, arXiv 2510.27484, algorithm 1.
    """
    removals = np.array([branch.removals for branch in branches], dtype=float)
    mean = bootstrap_mean(removals / (positions or 1), rng, level, resamples)
    capped = float((removals >= most).mean()) if len(removals) else 0.0
    return Resilience(mean.value, mean.low, mean.high, mean.n, level, capped)
