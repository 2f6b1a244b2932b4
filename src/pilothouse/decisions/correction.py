"""Undoing the shrinkage of predictions: what the correctors share. Fitted once on held-out pairs, shipped as JSON."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np

from pilothouse.core.errors import PilothouseError
from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.arrays import InputError, like, same_length, vector
from pilothouse.decisions.contrasts import contrast
from pilothouse.decisions.effects import Effect, estimate, with_calibration
from pilothouse.decisions.estimators import BaseEstimator, NotFittedError, TransformerMixin

#: What is done to predictions, figure by figure.
Map = Callable[[np.ndarray], np.ndarray]

FORMAT = "pilothouse-correction-1"
LEAST = 3  #: pairs that a corrector needs


class CorrectionWarning(UserWarning):
    """An assumption of a correction does not hold, or its effect cannot be relied upon."""


class NotFitted(PilothouseError, NotFittedError, RuntimeError):
    """A corrector was used before it was fitted."""


class Correction(TransformerMixin, BaseEstimator):
    """A corrector of predictions. Subclasses say how it is learnt, what it does, and what it doubts.

    ``fit`` takes predictions and truths of a calibration split that the model was not trained on: residuals of training
    rows are too small, and next to nothing would be corrected. Predictions come as [n] or [n, 1] in a list, numpy,
    pandas or torch, and go back as what they came as.

    Class attributes:
        kind: its name in files and on the command line.
        facts: names of the fitted figures.

    Source: One Map, Many Trials, arXiv 2508.01341.
    """

    kind: ClassVar[str] = ""
    facts: ClassVar[tuple[str, ...]] = ()

    def fit(self, X: Any, y: Any) -> Self:
        """Learn the correction.

        Args:
            X: [n] predictions of the calibration split, out of sample for the model.
            y: [n] truths of the same units.

        Raises:
            InputError: fewer than 3 pairs, values that are not finite (the rows are named), predictions or truths that
                do not vary, or a slope that is not positive.
        """
        pred, true = calibration_pairs(X, y)
        self._learn(pred, true)
        self._record(pred, true)
        return self

    def transform(self, X: Any) -> Any:
        """Return [n] corrected predictions. They are not clipped: clipping puts the bias back.

        Args:
            X: [n] predictions.

        Raises:
            NotFitted: before ``fit``.
            InputError: a prediction is not finite.
        """
        self._check_fitted()
        pred = vector(X, "predictions")
        for sentence in self._doubts(pred):
            warnings.warn(sentence, CorrectionWarning, stacklevel=2)
        return like(X, self._map(pred)(pred))

    def effect(
        self,
        pred: Any,
        treatment: Any,
        propensity: Any = None,
        weights: Any = None,
        estimator: str = "diff",
        *,
        calibration: tuple[Any, Any] | None = None,
        level: float = 0.95,
        resamples: int = 1000,
        calibration_resamples: int = 200,
        seed: int = 0,
    ) -> Effect:
        """Return the effect of a treatment on the outcome that was predicted, corrected, with its standard error.

        Args:
            pred: [n] predictions for the units of the trial.
            treatment: [n] 1 for treated units, 0 for others.
            propensity: [n] probability of treatment, for "ht" and "hajek".
            weights: [n] weights of the units, for "hajek".
            estimator: "diff" (difference in means), "ht" (Horvitz-Thompson) or "hajek" (weighted means).
            calibration: the pairs that ``fit`` saw; with them the error of the calibration is counted too.
            level: coverage of the interval.
            resamples: bootstrap resamples of units.
            calibration_resamples: bootstrap resamples of the calibration pairs.
            seed: root of the resampling.

        Raises:
            NotFitted: before ``fit``.
            InputError: columns that do not fit together, an arm without units, or an estimator that is unknown or asks
                for something else.
        """
        self._check_fitted()
        values, seeds = vector(pred, "predictions"), SeedTree(seed) / "effect"
        found = contrast(estimator, treatment, propensity, weights, len(values))
        doubts = [*self.diagnostics["warnings"], *self._doubts(values), *found.doubts]
        change = self._map(values)
        corrected = change(values)
        draws = found.draws(corrected, (seeds / "units").numpy(), resamples)
        effect = estimate(found, corrected, values, draws, level, doubts)
        if calibration is not None:
            pairs = calibration_pairs(*calibration)
            nodes, shares = found.on_nodes(values)
            again = self._again(*pairs, change)
            rng = (seeds / "calibration").numpy()
            moved = [_once(again, nodes, shares, rng, len(pairs[0])) for _ in range(calibration_resamples)]
            effect = with_calibration(effect, draws, np.array(moved))
        for sentence in effect.warnings:
            warnings.warn(sentence, CorrectionWarning, stacklevel=2)
        return effect

    @property
    def diagnostics(self) -> dict[str, Any]:
        """What was seen at ``fit``: the fitted figures, how the residuals look, and ``warnings``, each a sentence."""
        self._check_fitted()
        return self.diagnostics_

    def to_json(self) -> str:
        """Return the fitted corrector as JSON, to ship beside the predictions; ``read_correction`` reads it."""
        self._check_fitted()
        settings = {name: value for name, value in self.get_params(deep=False).items() if value is not None}
        facts = {name: _plain(getattr(self, name)) for name in ("support_", *self.facts)}
        whole = {"format": FORMAT, "corrector": self.kind, "settings": settings, "fitted": facts}
        return json.dumps({**whole, "diagnostics": self.diagnostics_}, allow_nan=False)

    def restore(self, facts: Mapping[str, Any], diagnostics: Mapping[str, Any]) -> Self:
        """Take over fitted figures, as ``to_json`` wrote them."""
        for name in ("support_", *self.facts):
            setattr(self, name, facts[name])
        self.support_ = tuple(self.support_)
        self.diagnostics_ = dict(diagnostics)
        return self

    def __sklearn_tags__(self) -> Any:
        """Say that input has one dimension and that truths are needed."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = True, False
        tags.target_tags.required = True
        return tags

    def _learn(self, pred: np.ndarray, true: np.ndarray) -> None:
        """Set the fitted figures."""

    def _map(self, pred: np.ndarray) -> Map:
        """Return the correction for a set of predictions."""
        raise NotImplementedError

    def _again(self, pred: np.ndarray, true: np.ndarray, change: Map) -> Callable[[np.ndarray], Map]:
        """Return what gives the correction learnt from the calibration pairs of given places, for a bootstrap."""
        raise NotImplementedError

    def _suspicions(self, pred: np.ndarray, true: np.ndarray) -> list[str]:
        """Return what speaks against this correction in the calibration pairs."""
        return []

    def _doubts(self, pred: np.ndarray) -> list[str]:
        """Return what speaks against correcting these predictions."""
        low, high, spread, n = self.support_
        outside = (pred < low) | (pred > high)
        far = np.maximum(low - pred, pred - high).max() > spread
        if outside.mean() <= 4 / (n + 1) and not far:  # the range of n draws leaves out 2 / (n + 1) of the next ones
            return []
        return [
            f"{outside.sum()} of {len(pred)} predictions are outside the range of the calibration split "
            f"[{low:g}, {high:g}]: there the correction is an extrapolation"
        ]

    def _record(self, pred: np.ndarray, true: np.ndarray) -> None:
        self.support_ = (float(pred.min()), float(pred.max()), float(pred.std()), len(pred))
        residual = pred - true
        moving = residual.std() > 1e-12 * max(float(true.std()), float(pred.std()))
        self.diagnostics_ = {
            "corrector": self.kind,
            "n": len(pred),
            "correlation": float(np.corrcoef(residual, pred)[0, 1]) if moving and pred.std() > 0 else 0.0,
            "bias": float(residual.mean()),
            **{
                name.rstrip("_"): value for name in self.facts if isinstance(value := getattr(self, name), float | bool)
            },
            "warnings": self._suspicions(pred, true),
        }
        for sentence in self.diagnostics_["warnings"]:
            warnings.warn(sentence, CorrectionWarning, stacklevel=3)

    def _check_fitted(self) -> None:
        if not hasattr(self, "support_"):
            raise NotFitted(f"this {type(self).__name__} is not fitted: call fit(predictions, truths) first")


class IdentityCorrection(Correction):
    """No correction: what the others are compared with."""

    kind = "identity"

    def _map(self, pred: np.ndarray) -> Map:
        return lambda v: v.copy()

    def _again(self, pred: np.ndarray, true: np.ndarray, change: Map) -> Callable[[np.ndarray], Map]:
        return lambda places: change


def calibration_pairs(X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions and truths of a calibration split, checked.

    Raises:
        InputError: there are too few, they do not go together, or something is not finite.
    """
    if y is None:
        raise InputError("this corrector requires y to be passed, but the target y is None: give the truths")
    pred, true = vector(X, "predictions"), vector(y, "truths")
    if same_length({"predictions": pred, "truths": true}) < LEAST:
        raise InputError(f"the calibration split has {len(pred)} sample{'s'[: len(pred) > 1]}: give at least {LEAST}")
    return pred, true


def varied(values: np.ndarray, name: str) -> None:
    """Refuse figures that are all the same.

    Raises:
        InputError: they are.
    """
    if not np.ptp(values) > 0:
        raise InputError(f"all {len(values)} {name} are {values[0]:g}: without variance there is nothing to calibrate")


def _once(
    again: Callable[[np.ndarray], Map], nodes: np.ndarray, shares: np.ndarray, rng: np.random.Generator, n: int
) -> float:
    """The effect with a correction learnt from one resample of the pairs; NaN where nothing can be learnt from it."""
    try:
        return float(again(rng.integers(n, size=n))(nodes) @ shares)
    except InputError:
        return math.nan


def _plain(value: Any) -> Any:
    return value.to_dict() if hasattr(value, "to_dict") else value
