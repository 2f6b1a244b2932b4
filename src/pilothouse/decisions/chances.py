"""A chance of need and a chance of acceptance: fitted to labels that may be missing, and calibrated."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from pilothouse.decisions.arrays import InputError, binary, rows, same_length, vector
from pilothouse.decisions.estimators import clone
from pilothouse.decisions.router import Estimate, indexable, take
from pilothouse.decisions.temperature import TemperatureScaler


class TwoChances:
    """Chance of need and chance of acceptance, each by a classifier of its own; the estimator is ``PrismGate``.

    Args:
        classifier: fitted twice; a pipeline that starts with a vectoriser reads text. Logistic regression by default.

    Attributes:
        need_: the fitted classifier of need.
        accept_: the fitted classifier of acceptance.
    """

    def __init__(self, classifier: Any = None) -> None:
        self.classifier = classifier

    def fit(self, X: Any, y: Any, propensity: Any = None) -> Self:
        """Fit both.

        Args:
            X: n events.
            y: [n, 2] whether help was needed and whether the offer was accepted, NaN where that is not known because
                none was shown; or [n], where both are one.
            propensity: [n] the chance, when the data were logged, that an offer was shown; acceptance is weighted by
                its inverse. 1 by default: every offer was judged.

        Raises:
            InputError: labels are not 0, 1 or (for acceptance) NaN, are all alike, or lengths differ.
        """
        need, acc = two_labels(y)
        self.need_, self.accept_ = self._fresh(), self._fresh()
        self.need_.fit(X, _varied(need, "need"))
        known = np.flatnonzero(~np.isnan(acc))
        weights = inverse_propensity(propensity, len(acc))
        how = {} if weights is None else {_weight_name(self.accept_): weights[known]}
        judged = X if len(known) == len(acc) else take(indexable(X), known)
        self.accept_.fit(judged, _varied(acc[known], "acceptance"), **how)
        return self

    def __call__(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return [n] chances of need and [n] chances of acceptance."""
        return self.need_.predict_proba(X)[:, 1], self.accept_.predict_proba(X)[:, 1]

    def _fresh(self) -> Any:
        if self.classifier is not None:
            return clone(self.classifier)
        from sklearn.linear_model import LogisticRegression

        return LogisticRegression()


class Calibrated:
    """An estimate whose two chances are scaled by temperatures of their own.

    Args:
        estimate: ``X -> (p_need, p_acc)``.
        need: scales the chance of need; ``None`` leaves it.
        accept: scales the chance of acceptance; ``None`` leaves it.
    """

    def __init__(self, estimate: Estimate, need: Any = None, accept: Any = None) -> None:
        self.estimate, self.need, self.accept = estimate, need, accept

    @staticmethod
    def fitted(estimate: Estimate, X: Any, y: Any, propensity: Any = None) -> Calibrated:
        """Return the estimate with temperatures that fit held-out labels; arguments and errors as ``TwoChances.fit``.

        Raises:
            InputError: also where there are too few labels, or they or the chances do not vary.
        """
        need, acc = two_labels(y)
        p_need, p_acc = (np.asarray(each, dtype=float) for each in estimate(X))
        known = ~np.isnan(acc)
        weights = inverse_propensity(propensity, len(acc))
        weights = None if weights is None else weights[known]
        accept = TemperatureScaler().fit(p_acc[known], acc[known], weights)
        return Calibrated(estimate, TemperatureScaler().fit(p_need, need), accept)

    def __call__(self, X: Any) -> tuple[Any, Any]:
        """Return the scaled chances."""
        need, acc = self.estimate(X)
        return (
            need if self.need is None else self.need.transform(need),
            acc if self.accept is None else self.accept.transform(acc),
        )


def two_labels(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return [n] labels of need and [n] of acceptance, where NaN is not known.

    Args:
        y: [n, 2], or [n] where both are one.

    Raises:
        InputError: labels are something else; the rows are named.
    """
    labels = np.asarray(y, dtype=float)
    if labels.ndim == 1:
        both = binary(labels, "y")
        return both, both
    if labels.ndim != 2 or labels.shape[1] != 2:
        raise InputError(f"y has shape {labels.shape}: give a row (need, acceptance) an event")
    return binary(labels[:, 0], "need"), binary(labels[:, 1], "acceptance", missing=True)


def inverse_propensity(propensity: Any, size: int, floor: float = 0.05) -> np.ndarray | None:
    """Return [n] weights 1 / max(propensity, floor), or ``None`` without propensities.

    Args:
        propensity: [n] chances that an offer was shown, in (0, 1]; or ``None``.
        size: n.
        floor: bounds the weights, at the price of some bias.

    Raises:
        InputError: a chance is not in (0, 1] (the rows are named), or there are not n.
    """
    if propensity is None:
        return None
    chances = vector(propensity, "propensity")
    same_length({"y": np.empty(size), "propensity": chances})
    wrong = (chances <= 0) | (chances > 1)
    if wrong.any():
        raise InputError(f"'propensity' is outside (0, 1] in {rows(wrong)}: it is the chance that an offer was shown")
    return 1 / np.maximum(chances, floor)


def _varied(labels: np.ndarray, what: str) -> np.ndarray:
    if not len(labels) or labels.min() == labels.max():
        raise InputError(f"the labels of {what} are all of one class: give events of both kinds")
    return labels


def _weight_name(classifier: Any) -> str:
    """Return what a classifier, or the last step of a pipeline, calls its weights."""
    steps = getattr(classifier, "steps", None)
    return f"{steps[-1][0]}__sample_weight" if steps else "sample_weight"
