"""Comparing two distributions of outcomes: counts, divergence, change of rate, and bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from pilothouse.core.errors import DataError

#: Pseudo-count per class in the official code of Thought Branches.
ALPHA = 1e-9


@dataclass(frozen=True)
class Measure:
    """An effect, its interval, and how many observations carry it.

    Args:
        value: the effect; NaN where nothing carries it.
        low: lower end of the interval.
        high: upper end of the interval.
        n: observations (chains, rows) behind it; 0 means no evidence.
        level: coverage of the interval.
    """

    value: float
    low: float
    high: float
    n: int
    level: float = 0.95

    @staticmethod
    def none(value: float = math.nan, level: float = 0.95) -> Measure:
        """Return the measure of nothing: no evidence, no interval."""
        return Measure(value, math.nan, math.nan, 0, level)


@dataclass(frozen=True)
class Shift(Measure):
    """How far one distribution of outcomes is from another.

    Args:
        kept: observations of the distribution compared with.
        change: by class, the signed difference of rates.
        counts: by class, how often it occurred: (in the n, in those compared with).
        abstained: chains without an outcome: (of the first kind, of those compared with). They count in no rate.
    """

    kept: int = 0
    change: Mapping[str, float] = field(default_factory=dict[str, float])
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    abstained: tuple[int, int] = (0, 0)


def smoothed(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Return [..., V] shares with a pseudo-count: (count + alpha) / (total + alpha V).

    Args:
        counts: [..., V] how often each class occurred.
        alpha: pseudo-count a class, at least 0.
    """
    counts = np.asarray(counts, dtype=float) + alpha
    return counts / counts.sum(axis=-1, keepdims=True)


def divergence(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Return [...] the Kullback-Leibler divergence of [..., V] p from q, in nats; infinite where q lacks what p has.

    Args:
        p: [..., V] shares.
        q: [..., V] shares.
    """
    p, q = np.broadcast_arrays(np.asarray(p, dtype=float), np.asarray(q, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(p > 0, p * (np.log(p) - np.log(q)), 0.0)
    return np.maximum(terms.sum(axis=-1), 0.0)


def tally(outcomes: Sequence[str | None], classes: Sequence[str]) -> np.ndarray:
    """Return [V] how often each class occurred; abstentions are in none.

    Args:
        outcomes: one a chain; ``None`` abstains.
        classes: the V classes.
    """
    return np.array([sum(outcome == name for outcome in outcomes) for name in classes])


def classes_of(*groups: Sequence[str | None], classes: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the classes that outcomes are counted over, in alphabetical order.

    Args:
        groups: outcomes of several sets of chains.
        classes: the classes there are; by default those that occur.

    Raises:
        DataError: an outcome is not among the classes given.
    """
    seen = sorted({outcome for group in groups for outcome in group if outcome is not None})
    if not classes:
        return tuple(seen)
    strange = [outcome for outcome in seen if outcome not in classes]
    if strange:
        raise DataError(
            f"outcome '{strange[0]}' is not one of the classes {', '.join(sorted(classes))}: compare chains whose "
            "outcomes were read by one function, or add it to classes"
        )
    return tuple(sorted(classes))


def shift(
    moved: Sequence[str | None],
    kept: Sequence[str | None],
    *,
    rng: np.random.Generator,
    alpha: float = ALPHA,
    classes: Sequence[str] = (),
    empty: float = math.nan,
    level: float = 0.95,
    resamples: int = 1000,
) -> Shift:
    """Return KL(p(outcome | moved) || p(outcome | kept)) in nats with a percentile bootstrap over chains.

    Args:
        moved: outcomes of the first distribution; ``None`` abstains.
        kept: outcomes of the distribution compared with.
        rng: draws the bootstrap's resamples.
        alpha: pseudo-count a class.
        classes: the classes there are; by default those that occur.
        empty: the value where either side has no outcome; the official code says 0.
        level: coverage of the interval.
        resamples: bootstrap resamples.

    Raises:
        DataError: an outcome is not among ``classes``.
    """
    names = classes_of(moved, kept, classes=classes)
    ours, theirs = tally(moved, names), tally(kept, names)
    n, m = int(ours.sum()), int(theirs.sum())
    abstained = (len(moved) - n, len(kept) - m)
    counts = {name: (int(a), int(b)) for name, a, b in zip(names, ours, theirs, strict=True)}
    if not n or not m:
        return Shift(empty, math.nan, math.nan, 0, level, m, {}, counts, abstained)
    drawn = [rng.multinomial(int(side.sum()), side / side.sum(), size=resamples) for side in (ours, theirs)]
    value = float(divergence(smoothed(ours, alpha), smoothed(theirs, alpha)))
    low, high = percentile(divergence(smoothed(drawn[0], alpha), smoothed(drawn[1], alpha)), level)
    change = dict(zip(names, (ours / n - theirs / m).tolist(), strict=True))
    return Shift(value, low, high, n, level, m, change, counts, abstained)


def bootstrap_mean(values: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = 1000) -> Measure:
    """Return the mean of independent values with its percentile bootstrap interval.

    Args:
        values: [n] values.
        rng: draws the resamples.
        level: coverage.
        resamples: how many.
    """
    values = np.asarray(values, dtype=float)
    if not len(values):
        return Measure.none(level=level)
    means = values[rng.integers(len(values), size=(resamples, len(values)))].mean(axis=1)
    return Measure(float(values.mean()), *percentile(means, level), len(values), level)


def percentile(draws: np.ndarray, level: float) -> tuple[float, float]:
    """Return the two quantiles of bootstrap draws that leave out (1 - level) / 2 at each end."""
    # Without interpolation, which infinite divergences do not survive.
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
    return float(low), float(high)
