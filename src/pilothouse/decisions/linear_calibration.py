"""The linear calibration correction: regress predictions on truths and turn the line around."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.correction import Correction, Map, varied

LEAST_SLOPE = 1e-8
WEAK_SLOPE = 0.2


class LinearCalibration(Correction):
    """Least squares of *prediction on truth*, ``yhat = m + k y``; corrected is ``(yhat - m) / k``.

    The other direction, truth on prediction, is ordinary calibration: it leaves the shrinkage where it is. Exact where
    E[prediction | truth] is linear, as for jointly Gaussian ones.

    Attributes:
        intercept_: m.
        slope_: k, the attenuation of every contrast of the predictions.

    Source: One Map, Many Trials, arXiv 2508.01341 (LCC).
    """

    kind = "linear"
    facts = ("intercept_", "slope_")

    def _learn(self, pred: np.ndarray, true: np.ndarray) -> None:
        varied(pred, "predictions")
        varied(true, "truths")
        self.intercept_, self.slope_ = _line(pred, true)

    def _map(self, pred: np.ndarray) -> Map:
        return _inverse(self.intercept_, self.slope_)

    def _again(self, pred: np.ndarray, true: np.ndarray, change: Map) -> Callable[[np.ndarray], Map]:
        return lambda places: _inverse(*_line(pred[places], true[places]))

    def _suspicions(self, pred: np.ndarray, true: np.ndarray) -> list[str]:
        if self.slope_ >= WEAK_SLOPE:
            return []
        return [
            f"predictions move by only {self.slope_:.3g} a unit of truth (slope below {WEAK_SLOPE}): errors are blown "
            f"up {1 / self.slope_:.1f} times; a better model helps more than a correction"
        ]


def _line(pred: np.ndarray, true: np.ndarray) -> tuple[float, float]:
    """Intercept and slope of predictions on truths."""
    centred = true - true.mean()
    square = float(centred @ centred)
    slope = float(centred @ (pred - pred.mean())) / square if square > 0 else 0.0
    if not slope > LEAST_SLOPE:
        raise InputError(
            f"predictions do not rise with the truths (slope {slope:.3g}): there is no line to turn around; check that "
            "the two columns belong to the same units"
        )
    return float(pred.mean() - slope * true.mean()), slope


def _inverse(intercept: float, slope: float) -> Map:
    return lambda v: (v - intercept) / slope
