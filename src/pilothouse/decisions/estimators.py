"""scikit-learn's base classes for the estimators of this room, or one sentence where scikit-learn is missing."""

from __future__ import annotations

from pilothouse.core.errors import ConfigError

try:
    from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, TransformerMixin, clone
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as missing:
    if (missing.name or "").partition(".")[0] not in ("sklearn", "scipy"):
        raise
    raise ConfigError(
        "estimators of decisions need scikit-learn; install it with: pip install 'pilothouse[decisions]'"
    ) from None

__all__ = [
    "BaseEstimator",
    "ClassifierMixin",
    "RegressorMixin",
    "TransformerMixin",
    "check_is_fitted",
    "clone",
    "validate_data",
]
