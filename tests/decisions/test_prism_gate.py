"""The gate as an estimator: scikit-learn's own checks, models of any kind, labels that are missing."""

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from pilothouse.decisions.audit import AuditLog
from pilothouse.decisions.chances import TwoChances, inverse_propensity
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.prism_gate import PrismGate
from pilothouse.decisions.temperature import TemperatureScaler


def unmet(estimator) -> dict[str, str]:
    if isinstance(estimator, TemperatureScaler):
        return {"check_fit1d": "one column of logits may come without a second dimension"}
    return {}


# Temperatures are of logits here, as the checks' data are no probabilities.
@parametrize_with_checks(
    [TemperatureScaler(given="logit"), PrismGate(), PrismGate(slow=LogisticRegression(C=10), c_fa=2)],
    expected_failed_checks=unmet,
)
def test_scikit_learns_own_checks(estimator, check) -> None:
    check(estimator)


@pytest.fixture
def stream() -> tuple[np.ndarray, np.ndarray]:
    """Contexts of two figures, the logits of need and of acceptance, and labels."""
    rng = np.random.default_rng(0)
    X = 1.5 * rng.standard_normal((3000, 2))
    return X, (rng.random((3000, 2)) < 1 / (1 + np.exp(-X))).astype(float)


def known(X):
    """The true chances."""
    return 1 / (1 + np.exp(-X[:, 0])), 1 / (1 + np.exp(-X[:, 1]))


def test_two_labels_are_learnt_apart(stream) -> None:
    X, y = stream
    gate = PrismGate(c_fa=1, c_fn=3).fit(X[:2000], y[:2000])
    need, acc = gate.fast_(X[2000:])
    for found, true in zip((need, acc), known(X[2000:]), strict=True):
        assert np.abs(found - true).mean() < 0.03
    assert (gate.decide(X) == CostGate(1, 3).decide(*gate.fast_(X))).all()
    assert set(gate.predict(X)) == {0, 1}


def test_callables_need_no_fit_and_are_calibrated(stream) -> None:
    X, y = stream

    def loud(X):
        return tuple(p**2.5 / (p**2.5 + (1 - p) ** 2.5) for p in known(X))

    gate = PrismGate(fast=loud, slow=known, c_fa=1, c_fn=3, delta=0.1)
    assert gate.route(X).asked.any()
    gate.calibrate(X, y).calibrate(X, y)  # twice is once: temperatures are not stacked
    assert gate.fast_.need.temperature_[0] == pytest.approx(2.5, rel=0.1)
    assert gate.slow_.accept.temperature_[0] == pytest.approx(1, rel=0.1)
    assert np.abs(gate.fast_(X)[0] - known(X)[0]).max() < 0.05
    log = AuditLog()
    gate.route(X[:5], log)
    assert len(log.records) == 5


def test_acceptance_is_learnt_from_what_was_shown(stream) -> None:
    X, y = stream
    rng = np.random.default_rng(1)
    # Offers were shown where acceptance was likely, so that what was judged is not what there is.
    chance = np.where(y[:, 1] == 1, 0.8, 0.2)
    logged = y.copy()
    logged[rng.random(len(y)) > chance, 1] = np.nan
    plain = TwoChances().fit(X, logged)(X)[1]
    weighted = TwoChances().fit(X, logged, propensity=chance)(X)[1]
    true = known(X)[1]
    assert np.abs(weighted - true).mean() < 0.05 < np.abs(plain - true).mean()
    assert inverse_propensity([0.5, 0.01], 2).tolist() == [2.0, 20.0]  # bounded at 0.05


def test_text_through_a_pipeline() -> None:
    X = ["error error", "all fine", "error again", "fine"] * 10
    y = np.array([(1, 1), (0, 0), (1, 1), (0, 1)] * 10)
    gate = PrismGate(fast=make_pipeline(CountVectorizer(), LogisticRegression(C=100))).fit(X, y)
    assert gate.predict(["error", "fine"]).tolist() == [1, 0]
    gate.fit(X, y, propensity=np.full(40, 0.5))


def test_it_is_searched_and_scored_like_any_classifier(stream) -> None:
    X, y = stream
    assert cross_val_score(PrismGate(), X[:300], y[:300, 0], cv=3).mean() > 0.6


@pytest.mark.parametrize(
    ("y", "says"),
    [
        (np.ones((20, 2)), "the labels of need are all of one class"),
        (np.c_[[0, 1] * 10, [np.nan] * 20], "the labels of acceptance are all of one class"),
        (np.c_[[0, 3] * 10, [0, 1] * 10], "'need' has labels other than 0 and 1, in rows 2, 4"),
        (np.ones((20, 3)), r"y has shape \(20, 3\)"),
    ],
)
def test_labels_that_say_nothing(y, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PrismGate().fit(np.random.default_rng(0).random((20, 2)), y)


def test_what_is_not_ready(stream) -> None:
    X, y = stream
    with pytest.raises(NotFittedError):
        PrismGate(fast=LogisticRegression()).decide(X)
    with pytest.raises(ValueError, match=r"'propensity' is outside \(0, 1\] in row 1"):
        TwoChances().fit(X, y, propensity=np.zeros(3000) + (np.arange(3000) > 0))
    with pytest.raises(ValueError, match="too small"):
        PrismGate(fast=known).calibrate(X[:5], [[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]])
