"""Tweedie's correction: take away the noise's variance times the score of the predictions' density."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np

from pilothouse.decisions.arrays import InputError, same_length, vector
from pilothouse.decisions.correction import Correction, Map, calibration_pairs, varied
from pilothouse.decisions.density import NODES, ScoreTable, check_settings, score_table

FEW_PAIRS = 100
_COARSE = 16  # nodes a bandwidth while resampling
_DENSITIES = ("calibration", "target")


def unshrink(pred: np.ndarray, variance: float, score: np.ndarray) -> np.ndarray:
    """Return ``yhat - sigma^2 s(yhat)``.

    Mind the sign: the classical formula adds the term and shrinks. With ``Y = Yhat + eps``, eps Gaussian and
    independent of Yhat, ``E[sigma^2 s(Yhat) | Y] = E[Yhat | Y] - Y`` by parts, so the result has mean Y given Y,
    whatever the density.

    Args:
        pred: [n] predictions.
        variance: sigma^2 of the residuals.
        score: [n] derivative of the log density of predictions, at each.
    """
    return pred - variance * score


class TweedieCorrection(Correction):
    """Corrects locally and not by one line: exact for Gaussian residuals of one variance, whatever the density.

    Args:
        density: whose predictions the density is of: "calibration", or "target", those that are being corrected (then
            a row's correction depends on the rows beside it).
        bandwidth: of the kernel: "scott", "silverman" or a number that the standard deviation is multiplied with.
        delta: half-width of the central difference of the log density; by default ``max(1e-3 std, 1e-8)``.
        known_score: the score itself, a function of [n] predictions, where it is known; then no density is estimated.
        nodes: nodes of the score's table a bandwidth.

    Attributes:
        sigma_: standard deviation of the residuals (ddof 0, mean removed).
        identity_: True where sigma is 0: predictions are left as they are.
        table_: the score of the calibration predictions; ``None`` if it is known or that of the target.

    Source: One Map, Many Trials, arXiv 2508.01341.
    """

    kind = "tweedie"
    facts = ("sigma_", "identity_", "table_")

    def __init__(
        self,
        density: str = "calibration",
        bandwidth: str | float = "scott",
        delta: float | None = None,
        known_score: Callable[[np.ndarray], np.ndarray] | None = None,
        nodes: int = NODES,
    ) -> None:
        self.density = density
        self.bandwidth = bandwidth
        self.delta = delta
        self.known_score = known_score
        self.nodes = nodes

    def fit(self, X: Any, y: Any, sigma_pred: Any = None, sigma_true: Any = None) -> Self:
        """Learn sigma and the density, from the same pairs or sigma from pairs of its own.

        Args:
            X: [n] predictions of the calibration split, out of sample for the model.
            y: [n] truths of the same units.
            sigma_pred: [m] predictions of another split, for sigma alone.
            sigma_true: [m] its truths.

        Raises:
            InputError: as for every corrector; only one of the last two is given; a setting is not what it can be.
        """
        if (sigma_pred is None) != (sigma_true is None):
            raise InputError("sigma_pred and sigma_true go together: give both or neither")
        noise = None if sigma_pred is None else _split(sigma_pred, sigma_true)
        pred, true = calibration_pairs(X, y)
        self._learn(pred, true)
        if noise is not None:
            self._spread(*noise)
        self._record(pred, true)
        return self

    def score_function(self, X: Any) -> np.ndarray:
        """Return [n] the score at predictions, as ``transform`` uses it.

        Args:
            X: [n] predictions.
        """
        self._check_fitted()
        pred = vector(X, "predictions")
        return self._score(pred)(pred)

    def to_json(self) -> str:
        """Return the fitted corrector as JSON.

        Raises:
            InputError: the score was given as a function, which no file can hold.
        """
        if self.known_score is not None:
            raise InputError(
                "a score that was given as a function cannot be written: leave known_score out to tabulate one"
            )
        return super().to_json()

    def restore(self, facts: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> Self:
        """Take over fitted figures, as ``to_json`` wrote them."""
        super().restore(facts, diagnostics)
        if self.table_ is not None:
            self.table_ = ScoreTable.of(facts["table_"])
        return self

    def _learn(self, pred: np.ndarray, true: np.ndarray) -> None:
        if self.density not in _DENSITIES:
            raise InputError(f"density is '{self.density}': it is 'calibration' or 'target'")
        check_settings(self.bandwidth, self.delta, self.nodes)
        varied(pred, "predictions")
        varied(true, "truths")
        self._spread(pred, true)
        self.table_ = self._table(pred) if self.known_score is None and self.density == "calibration" else None

    def _spread(self, pred: np.ndarray, true: np.ndarray) -> None:
        self.sigma_ = _sigma(pred, true)
        self.identity_ = not self.sigma_ > 0

    def _table(self, pred: np.ndarray, nodes: int | None = None) -> ScoreTable:
        return score_table(pred, bandwidth=self.bandwidth, delta=self.delta, nodes=nodes or self.nodes)

    def _score(self, pred: np.ndarray) -> Map:
        return self.known_score or self.table_ or self._table(pred)

    def _map(self, pred: np.ndarray) -> Map:
        if self.identity_:
            return lambda v: v.copy()
        score, variance = self._score(pred), self.sigma_**2
        return lambda v: unshrink(v, variance, score(v))

    def _again(self, pred: np.ndarray, true: np.ndarray, change: Map) -> Callable[[np.ndarray], Map]:
        def learnt(places: np.ndarray) -> Map:
            variance = _sigma(pred[places], true[places]) ** 2
            if self.table_ is not None:
                score: Map = self._table(pred[places], _COARSE)
                return lambda v: unshrink(v, variance, score(v))
            # the density is not the calibration's: only sigma is learnt again
            share = variance / self.sigma_**2 if self.sigma_ > 0 else 0.0
            return lambda v: v + share * (change(v) - v)

        return learnt

    def _suspicions(self, pred: np.ndarray, true: np.ndarray) -> list[str]:
        found: list[str] = []
        if self.identity_:
            return ["the residuals do not vary (sigma = 0): predictions are left as they are"]
        if len(pred) < FEW_PAIRS:
            found.append(f"{len(pred)} calibration pairs are few for a density: give at least {FEW_PAIRS}")
        r = float(np.corrcoef(pred - true, pred)[0, 1])
        if abs(r) > 0.1 and abs(r) * math.sqrt(len(pred)) > 3:
            found.append(
                f"residuals go with predictions (correlation {r:.2f}), but truth = prediction + independent noise is "
                "assumed: first make predictions calibrated, E[truth | prediction] by isotonic or linear regression on "
                "another split, or use the linear correction"
            )
        return found

    def _doubts(self, pred: np.ndarray) -> list[str]:
        found = super()._doubts(pred)
        score = None if self.identity_ or self.known_score is not None else self._score(pred)
        if isinstance(score, ScoreTable) and (extreme := score.extreme(score(pred))).any():
            found.append(
                f"{extreme.sum()} of {len(pred)} predictions lie where the density is a single kernel's tail: their "
                "correction is that kernel's, not the data's; give more calibration predictions or a larger bandwidth"
            )
        return found


def _sigma(pred: np.ndarray, true: np.ndarray) -> float:
    residual = pred - true
    sigma = float(residual.std())
    # a residual that is the same everywhere up to rounding has no spread
    return sigma if sigma > 1e-12 * max(float(np.abs(pred).max()), float(np.abs(true).max())) else 0.0


def _split(pred: Any, true: Any) -> tuple[np.ndarray, np.ndarray]:
    found = vector(pred, "sigma_pred"), vector(true, "sigma_true")
    same_length({"sigma_pred": found[0], "sigma_true": found[1]})
    return calibration_pairs(*found)
