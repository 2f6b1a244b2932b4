"""Weights, effective sample size and resampling: what every particle method shares. Pure functions of numbers."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np

EPS = 1e-7  #: scores are kept this far from 0 and 1, so that their logits are finite

Resampling: TypeAlias = Literal["multinomial", "systematic"]


def logit(score: float, eps: float = EPS) -> float:
    """Return the log-odds of a score.

    Args:
        score: in [0, 1].
        eps: how far it is kept from 0 and 1.
    """
    kept = min(max(score, eps), 1 - eps)
    return math.log(kept / (1 - kept))


def distribution(weights: Sequence[float], tau: float = 1.0) -> list[float]:
    """Return ``softmax(weights / tau)``; for logits, chances in proportion to the odds to the power ``1 / tau``.

    Args:
        weights: [N] finite log-weights.
        tau: temperature, above 0; the limits are all on the largest weight, and uniform.
    """
    top = max(weights)
    odds = [math.exp((weight - top) / tau) for weight in weights]
    total = sum(odds)
    return [each / total for each in odds]


def effective_size(theta: Sequence[float]) -> float:
    """Return the effective sample size ``1 / sum theta^2``, between 1 and N.

    Args:
        theta: [N] chances.
    """
    return 1.0 / sum(chance * chance for chance in theta)


def log_mean_exp(weights: Sequence[float]) -> float:
    """Return the logarithm of the mean of ``exp(weights)``: what every particle of a resampled set weighs.

    Args:
        weights: log-weights, at least one.
    """
    top = max(weights)
    return top + math.log(sum(math.exp(weight - top) for weight in weights) / len(weights))


def annealed(end: float, start: float | None, steps: int, step: int) -> float:
    """Return the temperature of a step: linear from ``start`` to ``end`` over the first ``steps``, ``end`` from there.

    Args:
        end: the temperature afterwards.
        start: that of step 0; ``None`` anneals nothing.
        steps: S, at least 2 if there is a start.
        step: s, from 0.
    """
    if start is None or step >= steps:
        return end
    return start - (start - end) * step / (steps - 1)


def entropic(tau: float, size: float, n: int, progress: float, *, below: float = 0.5, before: float = 0.5) -> float:
    """Return the temperature of a step that keeps an overconfident early scorer from killing all but a few particles.

    Args:
        tau: the step's own temperature.
        size: effective sample size at that temperature.
        n: particles.
        progress: steps so far over the most steps, in [0, 1].
        below: act when the effective size is below this share of the particles.
        before: act only this early.
    """
    if size / n >= below or progress >= before:
        return tau
    return tau * max(1.0, n / size * (1.0 - progress))


def systematic(theta: Sequence[float], n: int, u: float) -> list[int]:
    """Return n indices, ascending, with one uniform number: index i comes up floor or ceiling of ``n theta_i`` times.

    Args:
        theta: chances.
        n: how many to draw.
        u: in [0, 1).
    """
    return _at(theta, [(i + u) / n for i in range(n)])


def multinomial(theta: Sequence[float], uniforms: Sequence[float]) -> list[int]:
    """Return an independent index for each uniform number.

    Args:
        theta: chances.
        uniforms: in [0, 1).
    """
    return _at(theta, uniforms)


def draw(theta: Sequence[float], n: int, scheme: Resampling, rng: np.random.Generator) -> list[int]:
    """Return n indices drawn with replacement.

    Args:
        theta: chances.
        n: how many to draw.
        scheme: how.
        rng: source of randomness.
    """
    if scheme == "systematic":
        return systematic(theta, n, float(rng.random()))
    return multinomial(theta, rng.random(n).tolist())


def _at(theta: Sequence[float], places: Sequence[float]) -> list[int]:
    """Return the index whose stretch of the cumulated chances each place falls in."""
    ends = list(accumulate(theta))
    last = max(i for i, chance in enumerate(theta) if chance > 0)  # the sum may fall short of 1 by rounding
    return [min(bisect_right(ends, place), last) for place in places]
