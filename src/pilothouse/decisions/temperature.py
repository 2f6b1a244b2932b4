"""Temperature scaling: one number that makes over- or under-confident probabilities mean what they say."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np

from pilothouse.decisions.arrays import InputError, like, probabilities, same_length, vector
from pilothouse.decisions.estimators import (
    BaseEstimator,
    ClassifierTags,
    TransformerMixin,
    check_is_fitted,
    kinds_of,
    validate_data,
)

T_RANGE = (0.05, 20.0)
_EDGE = 1e-12  #: certainties are taken for this far from 0 and 1, so that their logits are finite


class TemperatureScaler(TransformerMixin, BaseEstimator):
    """Divides logits by the temperature T in [0.05, 20] that makes labels likeliest: ``sigmoid(logit(p) / T)``.

    Order is kept, so AUC and decisions at 1/2 stay; T > 1 takes confidence away. Several columns, such as the chances
    of two estimators, get a temperature each.

    Args:
        given: whether ``fit`` and ``transform`` are given probabilities or their logits.
        min_rows: rows that a calibration set needs; fewer say nothing about a temperature.
        window: rows that ``partial_fit`` remembers, the newest, for probabilities that drift; ``None`` remembers all.

    Attributes:
        temperature_: [k] T of each column.

    Source: Guo et al. 2017, arXiv 1706.04599, section 4.2; the range is PRISM's, arXiv 2602.01532.
    """

    def __init__(
        self, given: Literal["probability", "logit"] = "probability", min_rows: int = 10, window: int | None = None
    ) -> None:
        self.given = given
        self.min_rows = min_rows
        self.window = window

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find T.

        Args:
            X: [n] or [n, k] held-out probabilities or logits, numpy, pandas or torch.
            y: [n] labels; of two kinds, the larger is what the probabilities are of.
            sample_weight: [n] weights, such as inverse propensities; 1 by default.

        Raises:
            InputError: values are not finite or not probabilities (the rows are named), labels or the values of a
                column are all alike, or there are too few rows.
        """
        return self._learn(*self._rows(X, y, sample_weight, first=True))

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Find T anew with further rows, of which the last ``window`` count; arguments and errors as for ``fit``."""
        rows = self._rows(X, y, sample_weight, first=not hasattr(self, "rows_"))
        if hasattr(self, "rows_"):
            rows = tuple(np.concatenate(pair) for pair in zip(self.rows_, rows, strict=True))
        logits, labels, weights = (row[-self.window :] if self.window else row for row in rows)
        return self._learn(logits, labels, weights)

    def transform(self, X: Any) -> Any:
        """Return calibrated probabilities, shaped as ``X`` and of its kind; errors as for ``fit``."""
        check_is_fitted(self)
        found = 1 / (1 + np.exp(-self._logits(X, first=False) / self.temperature_))
        return like(X, found[:, 0]) if _flat(X) else found

    def __sklearn_tags__(self) -> Any:
        """Say that labels are needed, and of two kinds."""
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.classifier_tags = ClassifierTags(multi_class=False)
        return tags

    def _rows(self, X: Any, y: Any, weights: Any, first: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if y is None:
            raise InputError("a temperature scaler requires y to be passed, but the target y is None")
        logits, (_, labels) = self._logits(X, first), kinds_of(y)
        found = np.ones(len(logits)) if weights is None else vector(np.asarray(weights), "sample_weight")
        same_length({"X": logits, "y": labels, "sample_weight": found})
        if (found < 0).any():
            raise InputError("'sample_weight' has negative values: weights count from 0")
        if not found.any():
            raise InputError("'sample_weight' is zero in every row: give the rows that count a weight")
        return logits, labels, found

    def _logits(self, X: Any, first: bool) -> np.ndarray:
        """Return [n, k] logits."""
        if _flat(X):
            if not first and len(self.temperature_) > 1:
                raise InputError(f"{len(self.temperature_)} columns were fitted, and X is one. Reshape your data")
            X = vector(X, "X")[:, None]
        values: Any = validate_data(self, X, reset=first, dtype=np.float64, ensure_all_finite=False)
        if self.given == "logit":
            return np.stack([vector(column, "X") for column in values.T], axis=1)
        columns = [probabilities(column, "X").clip(_EDGE, 1 - _EDGE) for column in values.T]
        return np.stack([np.log(p) - np.log1p(-p) for p in columns], axis=1)

    def _learn(self, logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Self:
        if len(logits) < self.min_rows:
            size = f"{len(logits)} sample{'s' * (len(logits) > 1)}"
            raise InputError(f"a calibration set of {size} is too small: give at least {self.min_rows} with labels")
        counted = labels[weights > 0]
        if not len(counted) or counted.min() == counted.max():
            raise InputError("the labels of the calibration set are all of one class: give rows of both kinds")
        if (np.ptp(logits, axis=0) == 0).any():
            raise InputError("the probabilities of the calibration set are all alike: there is nothing to calibrate")
        self.rows_ = (logits, labels, weights)
        self.temperature_ = np.array([_likeliest(column, labels, weights) for column in logits.T])
        return self


def _flat(X: Any) -> bool:
    """Return whether probabilities come as one column without a second dimension."""
    shape = getattr(X, "shape", None)
    return len(shape) == 1 if shape is not None else isinstance(X, list | tuple) and not np.ndim(X[:1]) > 1


def _likeliest(logits: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    """Return T of the least weighted negative log-likelihood, which is convex in 1 / T."""
    from scipy.optimize import minimize_scalar

    signed = np.where(labels == 1, logits, -logits)
    low, high = 1 / T_RANGE[1], 1 / T_RANGE[0]

    def loss(inverse: float) -> float:
        return float((weights * np.logaddexp(0, -signed * inverse)).sum() / weights.sum())

    found: Any = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-10})
    return 1 / min((low, float(found.x), high), key=loss)  # the method never quite reaches an end
