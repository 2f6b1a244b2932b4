"""Predictions from a mixture of three normals: shrinkage that no line describes, undone with the exact score."""

from __future__ import annotations

import numpy as np

from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.tweedie import TweedieCorrection

MEANS, WEIGHTS, SPREAD = np.array([-2.2, -0.3, 1.9]), np.array([0.22, 0.43, 0.35]), 0.35
NOISE = 0.8
BINS = 10


def mixture(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return [n] draws of the mixture."""
    return MEANS[rng.choice(3, n, p=WEIGHTS)] + SPREAD * rng.normal(size=n)


def mixture_score(v: np.ndarray) -> np.ndarray:
    """Return [n] the exact score of the mixture at [n] places."""
    away = MEANS - v[:, None]
    logs = np.log(WEIGHTS) - 0.5 * (away / SPREAD) ** 2
    shares = np.exp(logs - logs.max(1, keepdims=True))
    return (shares * away).sum(1) / shares.sum(1) / SPREAD**2


def gaps(n: int, rng: np.random.Generator) -> dict[str, float]:
    """Return by corrector the largest gap, over tenths of the truths, between mean correction and mean truth.

    Args:
        n: units.
        rng: draws them.
    """
    pred = mixture(n, rng)
    true = pred + NOISE * rng.normal(size=n)
    corrected = {
        "naive": pred,
        "linear": LinearCalibration().fit(pred, true).transform(pred),
        "tweedie": TweedieCorrection(known_score=mixture_score).fit(pred, true).transform(pred),
        "tweedie, score estimated": TweedieCorrection().fit(pred, true).transform(pred),
    }
    tenths = np.array_split(np.argsort(true), BINS)
    return {
        name: max(abs(float(values[rows].mean() - true[rows].mean())) for rows in tenths)
        for name, values in corrected.items()
    }
