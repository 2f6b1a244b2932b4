"""scikit-learn's own checks of every corrector, on a column of its tables."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.utils.estimator_checks import parametrize_with_checks

from pilothouse.decisions.correction import Correction, IdentityCorrection
from pilothouse.decisions.estimators import validate_data
from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.tweedie import TweedieCorrection


class OfTables(Correction):
    """Takes the first column of a table: scikit-learn leaves out most of its checks for estimators of one dimension."""

    def fit(self, X: Any, y: Any) -> Any:
        X, y = validate_data(self, X, y, dtype="float64")
        return super().fit(X[:, 0], y)

    def transform(self, X: Any) -> Any:
        self._check_fitted()
        return super().transform(validate_data(self, X, reset=False, dtype="float64")[:, 0])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array, tags.input_tags.two_d_array = False, True
        return tags


class Identity(OfTables, IdentityCorrection): ...


class Linear(OfTables, LinearCalibration):
    def fit(self, X: Any, y: Any) -> Any:
        """Truths in the order of the predictions: those of the checks are unrelated, which the corrector refuses."""
        X, y = validate_data(self, X, y, dtype="float64")
        ranks = np.argsort(np.argsort(X[:, 0], kind="stable"), kind="stable")
        return super().fit(X, np.sort(y)[ranks])


class Tweedie(OfTables, TweedieCorrection): ...


def unfit(estimator: Any) -> dict[str, str]:
    beside = "the density is that of the rows corrected together"
    return {"check_methods_subset_invariance": beside} if getattr(estimator, "density", "") == "target" else {}


@parametrize_with_checks([Identity(), Linear(), Tweedie(), Tweedie(density="target")], expected_failed_checks=unfit)
def test_the_contract(estimator: Any, check: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        check(estimator)
