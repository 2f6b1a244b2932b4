"""Transplants: how the hinted answer grows as sentences written under a hint are carried to the prompt without it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pilothouse.core.branches import Branch
from pilothouse.core.errors import DataError
from pilothouse.decisions.measures import Measure, percentile


@dataclass(frozen=True)
class Curve:
    """The share of the hinted answer after each number of transplanted sentences.

    Args:
        shares: [n + 1] p_i; NaN where no continuation had an outcome.
        hits: [n + 1] continuations that gave the hinted answer.
        trials: [n + 1] continuations with an outcome.
        effects: [n] effect of each sentence, p_i - p_{i-1}.
        total: p_n - p_0 with its bootstrap interval.
    """

    shares: np.ndarray
    hits: np.ndarray
    trials: np.ndarray
    effects: np.ndarray
    total: Measure

    @property
    def largest(self) -> float:
        """The largest effect of a single sentence."""
        return float(self.effects.max()) if len(self.effects) else math.nan


def transplant_curve(
    points: Sequence[Sequence[Branch]],
    hinted: str,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> Curve:
    """Return the curve of p_i, the share of continuations from (prompt without hint, S_{<=i}) with the hinted answer.

    Args:
        points: for i = 0..n, the continuations.
        hinted: the outcome that the hint names.
        rng: draws the bootstrap's resamples.
        level: coverage of the total's interval.
        resamples: bootstrap resamples.

    Raises:
        DataError: there are not at least two points.

    Source: Thought Branches, arXiv 2510.27484; faithfulness/C_run_faith_transplantation.py of its official code.
    """
    if len(points) < 2:
        raise DataError(f"a transplant curve needs at least two points, not {len(points)}: give a chain with sentences")
    hits = np.array([sum(branch.outcome == hinted for branch in point) for point in points])
    trials = np.array([sum(branch.outcome is not None for branch in point) for point in points])
    shares = np.where(trials > 0, hits / np.maximum(trials, 1), math.nan)
    total = _difference((hits[-1], trials[-1]), (hits[0], trials[0]), rng, level, resamples)
    return Curve(shares, hits, trials, np.diff(shares), total)


def sandwich_effects(
    plain: Sequence[Sequence[Branch]],
    steered: Sequence[Sequence[Branch]],
    hinted: str,
    *,
    rng: np.random.Generator,
    level: float = 0.95,
    resamples: int = 1000,
) -> list[Measure]:
    """Return, point by point, what one sentence drawn under the hint adds to the hinted answer's share.

    Args:
        plain: for each point of a chain, continuations without the hint.
        steered: the same points, where only the next sentence was drawn under the hint.
        hinted: the outcome that the hint names.
        rng: draws the bootstrap's resamples.
        level: coverage.
        resamples: bootstrap resamples.

    Raises:
        DataError: the two have different numbers of points.
    """
    if len(plain) != len(steered):
        raise DataError(f"compare the same points of a chain, not {len(plain)} with {len(steered)}")
    counts = [[_counts(point, hinted) for point in points] for points in (steered, plain)]
    return [_difference(a, b, rng, level, resamples) for a, b in zip(*counts, strict=True)]


def _counts(branches: Sequence[Branch], hinted: str) -> tuple[int, int]:
    outcomes = [branch.outcome for branch in branches if branch.outcome is not None]
    return outcomes.count(hinted), len(outcomes)


def _difference(
    after: tuple[int, int], before: tuple[int, int], rng: np.random.Generator, level: float, resamples: int
) -> Measure:
    """Return the difference of two shares, given as (hits, trials), with a parametric bootstrap interval."""
    if not after[1] or not before[1]:
        return Measure.none(level=level)
    draws = [rng.binomial(n, hits / n, size=resamples) / n for hits, n in (after, before)]
    value = after[0] / after[1] - before[0] / before[1]
    return Measure(float(value), *percentile(draws[0] - draws[1], level), int(after[1]), level)
