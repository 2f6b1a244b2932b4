"""PRISM's gate whole: two calibrated chances, estimated fast or slowly, and two costs, as one estimator."""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.audit import AuditLog
from pilothouse.decisions.chances import Calibrated, TwoChances
from pilothouse.decisions.estimators import BaseEstimator, ClassifierMixin, check_is_fitted, kinds_of
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.router import MarginRouter, Routed


class PrismGate(ClassifierMixin, BaseEstimator):
    """Decides event by event whether to speak: ``PrismGate(fast=model, slow=llm, c_fa=1, c_fn=3).calibrate(X, y)``.

    Predicts 1 (speak) or 0 (stay silent). ``fast`` and ``slow`` are either classifiers with ``predict_proba``, which
    ``fit`` fits to need and to acceptance, or anything callable ``X -> (p_need, p_acc)``, which is used as it is and
    needs no ``fit``.

    Args:
        fast: the cheap estimate; logistic regression by default.
        slow: the dear one, for events near the threshold; ``None`` decides all by the fast one.
        c_fa: cost of an offer that is not accepted.
        c_fn: cost of silence where an offer was needed and would have been accepted.
        delta: distance from the threshold, in probability, within which the slow estimate is asked.
        batch: events in one call of ``slow``; ``None`` hands over all at once.

    Attributes:
        fast_, slow_: the estimates as fitted and calibrated.
        classes_: what ``predict`` says of silence and of speaking.

    Source: PRISM, arXiv 2602.01532.
    """

    def __init__(
        self,
        fast: Any = None,
        slow: Any = None,
        c_fa: float = 1.0,
        c_fn: float = 3.0,
        delta: float = 0.1,
        batch: int | None = None,
    ) -> None:
        self.fast = fast
        self.slow = slow
        self.c_fa = c_fa
        self.c_fn = c_fn
        self.delta = delta
        self.batch = batch

    def fit(self, X: Any, y: Any, propensity: Any = None) -> Self:
        """Fit those estimates that are classifiers.

        Args:
            X: n events.
            y: as for ``TwoChances.fit``; labels of [n] may be of any two kinds.
            propensity: as for ``TwoChances.fit``.

        Raises:
            InputError: as ``TwoChances.fit``.
        """
        self.classes_, labels = _read(y)
        self.fast_ = _fitted(self.fast, X, labels, propensity)
        self.slow_ = None if self.slow is None else _fitted(self.slow, X, labels, propensity)
        return self

    def calibrate(self, X: Any, y: Any, propensity: Any = None) -> Self:
        """Give both estimates temperatures that fit held-out labels; arguments and errors as ``Calibrated.fitted``."""
        self._ready()
        labels = _read(y)[1]
        self.fast_ = Calibrated.fitted(_bare(self.fast_), X, labels, propensity)
        if self.slow_ is not None:
            self.slow_ = Calibrated.fitted(_bare(self.slow_), X, labels, propensity)
        return self

    def route(self, X: Any, audit: AuditLog | None = None) -> Routed:
        """Return all there is to know of the decisions on n events; with a log, each is also written down."""
        self._ready()
        gate = CostGate(self.c_fa, self.c_fn)
        return MarginRouter(self.fast_, self.slow_, gate, self.delta, batch=self.batch, audit=audit)(X)

    def decide(self, X: Any) -> np.ndarray:
        """Return [n] booleans: speak."""
        return self.route(X).speak

    def decision_function(self, X: Any) -> np.ndarray:
        """Return [n] the expected gain of speaking over silence, in cost units."""
        return self.route(X).utility

    def predict(self, X: Any) -> np.ndarray:
        """Return [n] labels: ``classes_[1]`` to speak, ``classes_[0]`` to stay silent."""
        speak = self.route(X).speak
        return self.classes_[speak.astype(int)]

    @property
    def n_features_in_(self) -> int:
        """Features of an event, where the fast estimate counts them."""
        return _bare(self.fast_).need_.n_features_in_

    def __sklearn_is_fitted__(self) -> bool:
        """Return whether it can decide."""
        return hasattr(self, "fast_")

    def __sklearn_tags__(self) -> Any:
        """Say that there are two classes."""
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True  # the estimates say what they read
        return tags

    def _ready(self) -> None:
        """Take callables as they are where nothing was fitted."""
        if hasattr(self, "fast_"):
            return
        if not callable(self.fast) or not (self.slow is None or callable(self.slow)):
            check_is_fitted(self)
        self.fast_: Any = self.fast
        self.slow_: Any = self.slow
        self.classes_ = np.array([0, 1])


def _fitted(estimate: Any, X: Any, y: np.ndarray, propensity: Any) -> Any:
    """Return an estimate that is ready: a callable as it is, a classifier fitted to both labels."""
    return estimate if callable(estimate) else TwoChances(estimate).fit(X, y, propensity)


def _bare(estimate: Any) -> Any:
    """Return an estimate without the temperatures it was given before."""
    return estimate.estimate if isinstance(estimate, Calibrated) else estimate


def _read(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the two kinds of labels, in order, and the labels as 0 and 1: [n], or [n, 2] as they were given.

    Raises:
        InputError: there are none, they are not labels, or of one or of many kinds.
    """
    if y is None:
        raise InputError("a gate requires y to be passed, but the target y is None")
    shape = np.asarray(y).shape
    if len(shape) == 2 and shape[1] != 1:
        return np.array([0, 1]), np.asarray(y)
    return kinds_of(y)
