"""Estimates over runs and tasks (Agarwal et al. 2021, arXiv 2108.13264): every resampling takes its generator.

A single run says nothing of the spread between runs: every interval of it is unbounded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from pilothouse.reports.statistics import Interval, percentile


def iqm(scores: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000) -> Interval:
    """Return the interquartile mean of runs over tasks with a stratified bootstrap (Agarwal et al. 2021, section 4.3).

    Args:
        scores: [runs, tasks] normalised scores.
        rng: draws the resamples: runs with replacement, within each task.
        level: coverage.
        resamples: number of resamples.

    Raises:
        ValueError: ``scores`` is not a filled matrix of finite numbers.
    """
    scores = _matrix(scores)
    runs, tasks = scores.shape

    def draw(size: int) -> np.ndarray:
        return _middle_mean(_resampled(scores, rng, size).reshape(size, -1))

    return _resampling(float(_middle_mean(scores.reshape(1, -1))[0]), draw, runs * tasks, level, resamples, runs)


def probability_of_improvement(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> Interval:
    """Return the chance that a run of ``a`` beats a run of ``b`` on a random task (Agarwal et al. 2021, section 4.3).

    Args:
        a: [runs of a, tasks] scores; a tie counts one half.
        b: [runs of b, tasks] scores.
        rng: draws the resamples: runs with replacement, within each task.
        level: coverage.
        resamples: number of resamples.

    Raises:
        ValueError: the matrices are not finite or differ in tasks.
    """
    a, b = _matrix(a), _matrix(b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"both need the same tasks, not {a.shape[1]} and {b.shape[1]}")

    def chance(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        wins = np.sign(x[:, :, None, :] - y[:, None, :, :])
        return 0.5 + 0.5 * wins.mean(axis=(1, 2, 3))

    def draw(size: int) -> np.ndarray:
        return chance(_resampled(a, rng, size), _resampled(b, rng, size))

    width = a.size * b.shape[0]
    return _resampling(float(chance(a[None], b[None])[0]), draw, width, level, resamples, min(len(a), len(b)))


def stratified_difference(
    a: np.ndarray, b: np.ndarray, rng: np.random.Generator, level: float = 0.95, resamples: int = 10_000
) -> Interval:
    """Return the mean of ``a - b`` over paired runs and tasks, with a bootstrap that resamples the pairs of each task.

    With a handful of runs a percentile interval is too narrow; ``paired_difference`` of the runs' means is then safer.

    Args:
        a: [runs, tasks] scores.
        b: [runs, tasks] scores of runs with the same seeds.
        rng: draws the resamples.
        level: coverage.
        resamples: number of resamples.

    Raises:
        ValueError: the matrices are not finite or differ in shape.

    Source: Agarwal et al. 2021, arXiv 2108.13264, section 4.1.
    """
    a, b = _matrix(a), _matrix(b)
    if a.shape != b.shape:
        raise ValueError(f"pairs need the same seeds and tasks on both sides, not shapes {a.shape} and {b.shape}")
    gaps = a - b

    def draw(size: int) -> np.ndarray:
        return _resampled(gaps, rng, size).mean(axis=(1, 2))

    return _resampling(float(gaps.mean()), draw, gaps.size, level, resamples, len(gaps))


def performance_profile(
    scores: np.ndarray, levels: Sequence[float], rng: np.random.Generator, level: float = 0.95, resamples: int = 2000
) -> list[Interval]:
    """Return the share of runs whose score exceeds each level (Agarwal et al. 2021, section 4.2).

    Args:
        scores: [runs, tasks] scores.
        levels: scores to exceed.
        rng: draws the resamples: runs with replacement, within each task.
        level: coverage, for each level by itself.
        resamples: number of resamples.

    Raises:
        ValueError: ``scores`` is not a filled matrix of finite numbers.
    """
    scores = _matrix(scores)
    draws = _resampled(scores, rng, resamples)
    found: list[Interval] = []
    for bar in levels:
        low, high = np.quantile((draws > bar).mean(axis=(1, 2)), [(1 - level) / 2, (1 + level) / 2])
        ends = (float(low), float(high)) if len(scores) > 1 else (-math.inf, math.inf)
        found.append(Interval(float((scores > bar).mean()), *ends, level, len(scores)))
    return found


def _resampling(
    estimate: float, draw: Callable[[int], np.ndarray], width: int, level: float, resamples: int, runs: int
) -> Interval:
    """``percentile`` over runs, of which there must be two to tell anything."""
    if runs == 1:
        return Interval(estimate, -math.inf, math.inf, level, 1)
    return percentile(estimate, draw, width, level, resamples, runs)


def _matrix(scores: np.ndarray) -> np.ndarray:
    scores = np.asarray(scores, dtype=float)
    if scores.ndim != 2 or not scores.size or not np.isfinite(scores).all():
        raise ValueError(f"scores must be a [runs, tasks] matrix of finite numbers, not one of shape {scores.shape}")
    return scores


def _resampled(scores: np.ndarray, rng: np.random.Generator, size: int) -> np.ndarray:
    """[size, runs, tasks]: runs drawn with replacement, for each task on its own."""
    runs, tasks = scores.shape
    return scores[rng.integers(runs, size=(size, runs, tasks)), np.arange(tasks)]


def _middle_mean(rows: np.ndarray) -> np.ndarray:
    """Mean of each row without its lowest and highest quarter."""
    cut = rows.shape[1] // 4
    return np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1)
