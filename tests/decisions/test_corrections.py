"""Correctors: worked by hand, their exact cases, what they doubt and what they refuse."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")
pd = pytest.importorskip("pandas")

from pilothouse.core.errors import PilothouseError  # noqa: E402
from pilothouse.decisions.arrays import InputError  # noqa: E402
from pilothouse.decisions.compare_correctors import compare_correctors  # noqa: E402
from pilothouse.decisions.correction import CorrectionWarning, IdentityCorrection, NotFitted  # noqa: E402
from pilothouse.decisions.corrections import CORRECTIONS, find_correction, read_correction  # noqa: E402
from pilothouse.decisions.linear_calibration import LinearCalibration  # noqa: E402
from pilothouse.decisions.tweedie import TweedieCorrection  # noqa: E402
from pilothouse.methods.experiments.debiasing.mixture import gaps, mixture, mixture_score  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::pilothouse.decisions.correction.CorrectionWarning")
ALL = [LinearCalibration(), TweedieCorrection(), TweedieCorrection(density="target"), IdentityCorrection()]


def pairs(n: int = 500, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and truths with independent noise."""
    rng = np.random.default_rng(seed)
    pred = rng.gamma(3, size=n)
    return pred, pred + rng.normal(size=n)


@pytest.mark.parametrize("corrector", ALL, ids=repr)
def test_a_perfect_model_is_left_alone(corrector: Any) -> None:
    y = np.random.default_rng(0).normal(size=200)
    corrector.fit(y, y)
    assert corrector.transform(y) == pytest.approx(y, abs=1e-12)
    found = corrector.diagnostics
    if corrector.kind == "linear":
        assert (found["slope"], found["intercept"]) == pytest.approx((1, 0), abs=1e-12)
    if corrector.kind == "tweedie":
        assert found["sigma"] == 0
        assert found["identity"] is True
        assert "left as they are" in found["warnings"][0]


def test_both_double_where_noise_is_as_wide_as_predictions() -> None:
    pred = np.random.default_rng(0).normal(size=300_000)
    true = pred + np.random.default_rng(1).normal(size=300_000)
    v = np.array([-1.5, 0.0, 0.7, 2.0])
    exact = TweedieCorrection(known_score=lambda v: -v).fit(pred, true)
    assert exact.transform(v) == pytest.approx(2 * v, abs=0.02)
    assert LinearCalibration().fit(pred, true).transform(v) == pytest.approx(2 * v, abs=0.03)
    assert TweedieCorrection().fit(pred, true).transform(v) == pytest.approx(2 * v, abs=0.12)  # kernels smooth


def test_the_line_by_hand() -> None:
    found = LinearCalibration().fit([1, 1.5, 2, 2.5], [0, 1, 2, 3])
    assert (found.slope_, found.intercept_) == pytest.approx((0.5, 1.0))
    assert found.transform([1.75]) == pytest.approx([1.5])
    effect = found.effect([2.0, 1.0, 2.5, 1.5], [1, 0, 1, 0])
    assert (effect.naive, effect.estimate) == pytest.approx((1.0, 2.0))


def test_sigma_by_hand() -> None:
    y, off = np.array([3.0, 1.0, 4.0, 2.0]), np.array([1, -1, 1, -1])
    found = TweedieCorrection().fit(y + off, y)
    assert found.sigma_ == pytest.approx(1)
    assert TweedieCorrection().fit(y + 5, y).sigma_ == 0
    other = TweedieCorrection().fit(y + off, y, sigma_pred=y + 2 * off, sigma_true=y)
    assert other.sigma_ == pytest.approx(2)
    assert other.table_.values == pytest.approx(found.table_.values)


@pytest.mark.parametrize("corrector", ALL, ids=repr)
def test_units_do_not_matter(corrector: Any) -> None:
    pred, true = pairs()
    before = corrector.fit(pred, true).transform(pred)
    after = corrector.fit(3 * pred + 7, 3 * true + 7).transform(3 * pred + 7)
    assert after == pytest.approx(3 * before + 7, abs=1e-6)


def test_the_effect_is_linear_in_the_correction() -> None:
    pred, true = pairs()
    treated = (np.arange(500) % 3 == 0).astype(float)
    tweedie, linear = TweedieCorrection().fit(pred, true), LinearCalibration().fit(pred, true)

    def naive(values: np.ndarray) -> float:
        return float(values[treated == 1].mean() - values[treated == 0].mean())

    expected = naive(pred) - tweedie.sigma_**2 * naive(tweedie.score_function(pred))
    assert tweedie.effect(pred, treated).estimate == pytest.approx(expected)
    assert linear.effect(pred, treated).estimate == pytest.approx(naive(pred) / linear.slope_)
    assert linear.effect(pred, treated).naive == pytest.approx(naive(pred))
    assert IdentityCorrection().fit(pred, true).effect(pred, treated).estimate == pytest.approx(naive(pred))


def test_a_plus_sign_or_the_wrong_direction_would_show() -> None:
    found = gaps(50_000, np.random.default_rng(0))
    assert found["tweedie"] < 0.12 < 0.4 < found["linear"]
    assert found["tweedie"] < found["naive"]


def test_the_target_density_is_that_of_what_is_corrected() -> None:
    pred, true = pairs()
    target = np.random.default_rng(5).normal(size=400)
    own = TweedieCorrection(density="target").fit(pred, true)
    assert own.table_ is None
    there = TweedieCorrection().fit(target, target + np.resize([own.sigma_, -own.sigma_], 400))
    assert own.transform(target) == pytest.approx(there.transform(target))


@pytest.mark.parametrize("corrector", ALL, ids=repr)
def test_it_ships_as_json(corrector: Any) -> None:
    pred, true = pairs()
    corrector.fit(pred, true)
    text = corrector.to_json()
    again = read_correction(text)
    assert type(again) is type(corrector)
    assert (again.transform(pred) == corrector.transform(pred)).all()
    assert again.diagnostics == corrector.diagnostics
    assert again.to_json() == text
    json.loads(text, parse_constant=lambda name: pytest.fail(name))


def test_what_is_not_a_correction_is_refused() -> None:
    for text in ("{", "[]", '{"format": "x"}', '{"format": "pilothouse-correction-1"}'):
        with pytest.raises(InputError, match="this is not a correction"):
            read_correction(text)
    with pytest.raises(InputError, match="did you mean 'tweedie'"):
        find_correction("tweedy")
    with pytest.raises(InputError, match="known_score"):
        TweedieCorrection(known_score=np.sin).fit(*pairs()).to_json()


@pytest.mark.parametrize("kind", CORRECTIONS)
def test_numpy_pandas_and_torch_go_back_as_they_came(kind: str) -> None:
    pred, true = pairs()
    expected = CORRECTIONS[kind]().fit(pred, true).transform(pred)
    series = pd.Series(pred, index=range(7, 507), name="yhat")
    found = CORRECTIONS[kind]().fit(series, pd.Series(true)).transform(series)
    assert isinstance(found, pd.Series)
    assert list(found.index[:2]) == [7, 8]
    assert found.to_numpy() == pytest.approx(expected)
    tensor = torch.tensor(pred, dtype=torch.float32, requires_grad=True)
    out = CORRECTIONS[kind]().fit(tensor, torch.tensor(true)).transform(tensor)
    assert isinstance(out, torch.Tensor)
    assert out.dtype == torch.float32
    assert out.numpy() == pytest.approx(expected, rel=1e-4, abs=1e-3)
    assert CORRECTIONS[kind]().fit(pred[:, None], true).transform(list(pred)) == pytest.approx(expected)


GOOD = np.linspace(0, 1, 9)


@pytest.mark.parametrize(
    ("pred", "true", "words"),
    [
        ([], [], "no rows"),
        ([1.0, 2.0], [1.0, 2.0], "2 samples: give at least 3"),
        ([1.0], [1.0], "1 sample: give"),
        ([1, np.nan, 3], [1, 2, 3], "NaN or infinite, in row 2"),
        ([1, 2, 3], [np.inf, 2, -np.inf], "'truths' .* in rows 1, 3"),
        (np.ones((3, 2)), [1, 2, 3], r"shape \(3, 2\)"),
        ([1, 2, 3], [1, 2], "'truths' has 2 rows and 'predictions' has 3"),
        (np.ones(9), GOOD, "all 9 predictions are 1: without variance"),
        (GOOD, np.ones(9), "all 9 truths are 1: without variance"),
        (["a", 2, 3], [1, 2, 3], "not a number in row 1"),
    ],
)
@pytest.mark.parametrize("kind", ["linear", "tweedie"])
def test_calibration_pairs_that_cannot_be_used(kind: str, pred: Any, true: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        CORRECTIONS[kind]().fit(pred, true)
    assert isinstance(caught.value, PilothouseError)


@pytest.mark.parametrize("true", [-GOOD, np.array([1, -1, 0, 0, 0, 0, 0, -1, 1.0])])
def test_predictions_that_do_not_rise_are_refused(true: np.ndarray) -> None:
    with pytest.raises(ValueError, match="do not rise with the truths"):
        LinearCalibration().fit(GOOD, true)


def test_settings_that_cannot_be() -> None:
    pred, true = pairs()
    for density in ("calibration", "target"):
        with pytest.raises(ValueError, match="delta is 0"):
            TweedieCorrection(density, delta=0.0).fit(pred, true)
    with pytest.raises(ValueError, match="density is 'trget'"):
        TweedieCorrection(density="trget").fit(pred, true)
    with pytest.raises(ValueError, match="go together"):
        TweedieCorrection().fit(pred, true, sigma_pred=pred)
    with pytest.raises(ValueError, match="in row 2"):
        LinearCalibration().fit(pred, true).transform([1.0, np.inf])


@pytest.mark.parametrize("corrector", ALL, ids=repr)
def test_nothing_works_before_fit(corrector: Any) -> None:
    fresh = type(corrector)()
    for use in (lambda: fresh.transform([1.0]), lambda: fresh.effect([1.0, 2.0], [0, 1]), fresh.to_json):
        with pytest.raises(RuntimeError, match="not fitted: call fit"):
            use()
    with pytest.raises(NotFitted):
        _ = fresh.diagnostics


def warned(corrector: Any, pred: np.ndarray, true: np.ndarray) -> str:
    with pytest.warns(CorrectionWarning):
        corrector.fit(pred, true)
    return " ".join(corrector.diagnostics["warnings"])


def test_broken_assumptions_are_said() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=1000)
    assert "slope below 0.2" in warned(LinearCalibration(), 0.1 * y + 0.01 * rng.normal(size=1000), y)
    assert "errors are blown up 10.0 times" in warned(LinearCalibration(), 0.1 * y, y)
    assert "correlation" in warned(TweedieCorrection(), y + rng.normal(size=1000), y)  # noise of the wrong kind
    assert "50 calibration pairs are few" in warned(TweedieCorrection(), *pairs(50))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LinearCalibration().fit(*pairs())
        found = TweedieCorrection().fit(*pairs())
    assert found.diagnostics["correlation"] == pytest.approx(0, abs=0.1)
    assert found.diagnostics["warnings"] == []


def test_predictions_far_from_calibration_are_said() -> None:
    pred, true = pairs()
    fresh = pairs(seed=3)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error", CorrectionWarning)
        LinearCalibration().fit(pred, true).transform(np.clip(fresh, pred.min(), pred.max()))
    with pytest.warns(CorrectionWarning, match=r"1 of 501 predictions are outside the range"):
        LinearCalibration().fit(pred, true).transform(np.append(np.clip(fresh, pred.min(), pred.max()), 99.0))
    with pytest.warns(CorrectionWarning, match="single kernel's tail"):
        TweedieCorrection().fit(pred, true).transform([pred.max() + 5])
    effect = TweedieCorrection().fit(pred, true).effect(np.append(pred, 99.0), np.append(np.resize([0, 1], 500), 1))
    assert any("single kernel's tail" in sentence for sentence in effect.warnings)


def test_comparison_recommends_the_line_for_a_line() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(0.2, 1.1, 1500)
    found = compare_correctors(0.15 + 0.62 * y + rng.normal(0, 0.12, 1500), y)
    assert found.recommended == "linear"
    assert "linear scores" in found.reason
    assert {row.corrector for row in found.rows} == {"linear", "tweedie", "identity"}
    again = compare_correctors(0.15 + 0.62 * y + np.random.default_rng(1).normal(0, 0.12, 1500), y, seed=1)
    assert again.recommended == "linear"


def test_comparison_recommends_tweedie_for_a_mixture() -> None:
    pred = mixture(1800, np.random.default_rng(0))
    score = mixture_score(pred)
    found = compare_correctors(pred, pred - score / score.var())
    assert found.recommended == "tweedie"
    assert found.to_dict()["n"] == 1800
    with pytest.raises(InputError, match="5 pairs a fold"):
        compare_correctors(pred[:20], pred[:20])
