"""scikit-learn's base classes for the estimators of this room, or one sentence where scikit-learn is missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from pilothouse.core.errors import ConfigError
from pilothouse.decisions.arrays import InputError, rows

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone
    from sklearn.exceptions import NotFittedError
    from sklearn.utils import ClassifierTags
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] not in ("sklearn", "scipy"):
        raise
    raise ConfigError(
        "estimators of decisions need scikit-learn; install it with: pip install 'pilothouse[decisions]'"
    ) from None

__all__ = [
    "BaseEstimator",
    "ClassifierMixin",
    "ClassifierTags",
    "NotFittedError",
    "RegressorMixin",
    "TransformerMixin",
    "check_is_fitted",
    "clone",
    "kinds_of",
    "validate_data",
]


def kinds_of(y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the two kinds of labels, in order, and [n] which each label is: 0 or 1.

    Args:
        y: [n] labels of any type that can be ordered.

    Raises:
        InputError: they are not labels, or of one kind or of many.
    """
    labels = column_or_1d(y, warn=True)
    try:
        check_classification_targets(labels)
    except ValueError as error:  # scikit-learn's checks want its own words, users want the rows
        if labels.dtype.kind != "f" or np.isfinite(labels).all():
            raise
        raise InputError(f"{str(error).rstrip('.')}, in {rows(~np.isfinite(labels))}") from None
    kinds, places = np.unique(labels, return_inverse=True)
    if len(kinds) > 2:
        raise InputError(
            f"Only binary classification is supported. The type of the target is multiclass: it has {len(kinds)} kinds"
        )
    if len(kinds) < 2:
        raise InputError("the labels are all of one class: give rows of both kinds")
    return kinds, places.astype(float)
