"""Estimates with intervals: nothing is reported as a bare number.

Every resampling takes its generator; none of it needs more than NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

_BLOCK = 1 << 22  # numbers held at a time while resampling


@dataclass(frozen=True)
class Interval:
    """An estimate and the range that covers its true value with a stated probability.

    Args:
        estimate: the point estimate.
        low: lower end; minus infinity when the data cannot tell.
        high: upper end; infinity when the data cannot tell.
        level: the probability, such as 0.95.
        n: independent units behind it (problems, clusters, seeds).
    """

    estimate: float
    low: float
    high: float
    level: float
    n: int

    def percent(self, sign: bool = False) -> str:
        """Return it in percent, such as ``"57.3 % [52.0, 62.4]"``; an unbounded end is a question mark.

        Args:
            sign: always write the sign, for differences.
        """
        form = "+.1f" if sign else ".1f"
        ends = ", ".join(f"{100 * end:{form}}" if math.isfinite(end) else "?" for end in (self.low, self.high))
        return f"{100 * self.estimate:{form}} % [{ends}]"

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Interval:
        """Return what ``to_dict`` wrote, read back from JSON, where what is not finite is null.

        Raises:
            KeyError: a figure is missing.
        """
        ends = (("estimate", math.nan), ("low", -math.inf), ("high", math.inf))
        figures = (default if found[name] is None else float(found[name]) for name, default in ends)
        return cls(*figures, level=float(found["level"]), n=int(found["n"]))


def wilson(successes: int, n: int, level: float = 0.95) -> Interval:
    """Return the score interval of a share (Wilson 1927), which stays honest at 0 % and 100 %.

    Args:
        successes: how many of ``n`` succeeded.
        n: independent trials.
        level: coverage.

    Raises:
        ValueError: there are no trials, or more successes than trials.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"a share needs 0 <= successes <= n and n >= 1, not {successes} of {n}")
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, inflated = successes / n, 1 + z * z / n
    middle = (share + z * z / (2 * n)) / inflated
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / inflated
    low = 0.0 if successes == 0 else middle - half
    high = 1.0 if successes == n else middle + half
    return Interval(share, low, high, level, n)


def clustered_interval(clusters: Sequence[np.ndarray], level: float = 0.95) -> Interval:
    """Return the mean of all values with a standard error that lets the values of a cluster depend on each other.

    The squared error is C / (C - 1) times the sum over the C clusters of (sum of residuals) squared, over n squared
    (Liang and Zeger 1986; Miller 2024, arXiv 2411.00640, equation 4); the quantile is Student's with C - 1 degrees of
    freedom. One cluster says nothing of the spread between clusters: its interval is unbounded. Values that are all 0
    or all 1 have no spread either: their interval is Wilson's over the clusters, as if each were one trial.

    Args:
        clusters: the values of each cluster (attempts at one problem), at least one a cluster.
        level: coverage.

    Raises:
        ValueError: there is no cluster, or one without values.
    """
    sums, sizes = _sums(clusters)
    count, mean = len(sums), float(sums.sum() / sizes.sum())
    values = np.concatenate([np.ravel(c) for c in clusters])
    if mean in (0.0, 1.0) and bool((values == mean).all()):
        return wilson(round(mean) * count, count, level)
    if count == 1:
        return Interval(mean, -math.inf, math.inf, level, 1)
    error = math.sqrt(count / (count - 1) * float(((sums - sizes * mean) ** 2).sum())) / float(sizes.sum())
    half = t_quantile(0.5 + level / 2, count - 1) * error
    low, high = mean - half, mean + half
    if bool(np.isin(values, (0.0, 1.0)).all()):
        low, high = max(low, 0.0), min(high, 1.0)
    return Interval(mean, low, high, level, count)


def paired_bootstrap(
    after: np.ndarray, before: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Return the mean of ``after - before`` over pairs, with its percentile bootstrap interval (Efron 1979).

    Pairs that all differ by the same amount leave it nothing to vary: the interval is then that single figure.

    Args:
        after: [n] one figure a problem; NaN where it could not be judged.
        before: [n] the same problems earlier; a pair with a NaN is left out.
        rng: draws the resamples.
        level: coverage.
        resamples: number of resamples.

    Raises:
        ValueError: the arrays differ in length, or no pair is whole.
    """
    after, before = np.asarray(after, dtype=float), np.asarray(before, dtype=float)
    if after.shape != before.shape or after.ndim != 1:
        raise ValueError(f"pairs need two arrays of one length, not shapes {after.shape} and {before.shape}")
    differences = after - before
    differences = differences[~np.isnan(differences)]
    if not len(differences):
        raise ValueError("no pair has both figures, so there is no difference to estimate")
    # a resample's mean depends only on how often each distinct value was drawn: few columns for right and wrong
    values, counts = np.unique(differences, return_counts=True)
    share = counts / len(differences)

    def draw(size: int) -> np.ndarray:
        return rng.multinomial(len(differences), share, size=size) @ values / len(differences)

    return percentile(float(differences.mean()), draw, len(values), level, resamples, len(differences))


def clustered_bootstrap(
    clusters: Sequence[np.ndarray], rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Return the mean of all values with a percentile interval from resampling whole clusters.

    Args:
        clusters: the values of each cluster, at least one a cluster.
        rng: draws the resamples.
        level: coverage.
        resamples: number of resamples.

    Raises:
        ValueError: there is no cluster, or one without values.
    """
    sums, sizes = _sums(clusters)
    count = len(sums)

    def draw(size: int) -> np.ndarray:
        chosen = rng.integers(count, size=(size, count))
        return sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1)

    return percentile(float(sums.sum() / sizes.sum()), draw, count, level, resamples, count)


def paired_difference(a: Sequence[float], b: Sequence[float], level: float = 0.95) -> Interval:
    """Return the mean of ``a - b`` over seeds with Student's t interval; a single seed leaves it unbounded.

    Args:
        a: a figure a seed.
        b: a figure for the same seeds.
        level: coverage.

    Raises:
        ValueError: the sequences are empty or differ in length.
    """
    if not len(a) or len(a) != len(b):
        raise ValueError(f"a paired difference needs the same seeds on both sides, not {len(a)} and {len(b)}")
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    n, mean = len(differences), float(differences.mean())
    if n == 1:
        return Interval(mean, -math.inf, math.inf, level, 1)
    half = t_quantile(0.5 + level / 2, n - 1) * float(differences.std(ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, level, n)


def spearman(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the rank correlation of two lists of figures, ties at their mean rank; NaN where one of them is constant.

    Args:
        a: [n] figures.
        b: [n] figures.

    Raises:
        ValueError: the lists differ in length.
    """
    if len(a) != len(b):
        raise ValueError(f"a correlation needs two lists of one length, not {len(a)} and {len(b)}")
    ranks = [_mean_ranks(np.asarray(values, dtype=float)) for values in (a, b)]
    centred = [values - values.mean() if len(values) else values for values in ranks]
    norm = math.sqrt(float((centred[0] ** 2).sum() * (centred[1] ** 2).sum()))
    return float((centred[0] * centred[1]).sum()) / norm if norm else math.nan


def _mean_ranks(values: np.ndarray) -> np.ndarray:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[places]


def auc(high: Sequence[float], low: Sequence[float]) -> float:
    """Return the chance that one of ``high`` exceeds one of ``low``, ties counting half: the area under the ROC curve.

    Args:
        high: scores of what should score high; at least one.
        low: scores of what should score low; at least one.

    Source: Mann & Whitney 1947; Hanley & McNeil 1982.
    """
    above, below = np.sort(np.asarray(high, dtype=float)), np.sort(np.asarray(low, dtype=float))
    wins = np.searchsorted(below, above, "left").sum() + np.searchsorted(below, above, "right").sum()
    return float(wins / 2 / (len(above) * len(below)))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Return the unbiased chance that one of ``k`` samples is right, from ``n`` drawn (Chen et al. 2021, equation 1).

    Args:
        n: samples drawn.
        correct: how many of them were right.
        k: samples allowed, at most ``n``.

    Raises:
        ValueError: the three do not fit together.
    """
    if not 0 <= correct <= n or not 1 <= k <= n:
        raise ValueError(f"pass@k needs 0 <= correct <= n and 1 <= k <= n, not n={n}, correct={correct}, k={k}")
    return 1.0 - math.comb(n - correct, k) / math.comb(n, k)


def t_quantile(p: float, freedom: int) -> float:
    """Return the quantile of Student's t for a whole number of degrees of freedom.

    With t = sqrt(freedom) tan(angle), the chance of lying within +-t is a finite sum of powers of cos(angle)
    (Abramowitz and Stegun 1964, 26.7.3 and 26.7.4), which bisection on the angle inverts.

    Args:
        p: probability, in (0, 1).
        freedom: degrees of freedom, at least 1.

    Raises:
        ValueError: an argument is out of range.
    """
    if not 0 < p < 1 or freedom < 1:
        raise ValueError(f"Student's t needs 0 < p < 1 and freedom >= 1, not p={p}, freedom={freedom}")
    if p < 0.5:
        return -t_quantile(1 - p, freedom)
    odd = freedom % 2
    steps = np.arange(1, freedom // 2)
    ratios = 2 * steps / (2 * steps + 1) if odd else (2 * steps - 1) / (2 * steps)
    terms = np.cumprod(np.concatenate([np.ones(1), ratios]))

    def inside(angle: float) -> float:
        series = float(terms @ (math.cos(angle) ** (2.0 * np.arange(len(terms)))))
        if not odd:
            return math.sin(angle) * series
        tail = math.sin(angle) * math.cos(angle) * series if freedom > 1 else 0.0
        return 2 / math.pi * (angle + tail)

    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < 2 * p - 1 else (low, middle)
    return math.sqrt(freedom) * math.tan((low + high) / 2)


def percentile(
    estimate: float, draw: Callable[[int], np.ndarray], width: int, level: float, resamples: int, n: int
) -> Interval:
    """Return the percentile interval of resampled estimates, made in blocks so that memory stays bounded.

    Args:
        estimate: the point estimate.
        draw: returns that many resampled estimates.
        width: numbers that one resample holds in memory.
        level: coverage.
        resamples: how many.
        n: independent units behind it.
    """
    block = max(1, _BLOCK // width)
    draws = np.concatenate([draw(min(block, resamples - done)) for done in range(0, resamples, block)])
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level, n)


def _sums(clusters: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    if not len(clusters) or any(np.size(cluster) == 0 for cluster in clusters):
        raise ValueError("a clustered mean needs at least one cluster, and at least one value in each")
    return np.array([np.sum(c, dtype=float) for c in clusters]), np.array([np.size(c) for c in clusters])
