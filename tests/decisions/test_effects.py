"""Effects: worked by hand, honest in their errors, and refused where they mean nothing."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from pilothouse.decisions import contrasts
from pilothouse.decisions.arrays import InputError
from pilothouse.decisions.contrasts import bootstrap_ratios, contrast
from pilothouse.decisions.effects import estimate, ppi_effect

pytest.importorskip("sklearn")

from pilothouse.decisions.effect_slope import effect_slope
from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.tweedie import TweedieCorrection

pytestmark = pytest.mark.filterwarnings("ignore::pilothouse.decisions.correction.CorrectionWarning")
V, T, E = np.array([2.0, 4.0]), np.array([1, 0]), np.array([0.5, 0.5])


def test_horvitz_thompson_by_hand() -> None:
    assert contrast("ht", T, E).of(V) == pytest.approx(-2.0)  # mean of 4 and -8


def test_difference_and_hajek_by_hand() -> None:
    v, t = np.array([1.0, 3.0, 10.0, 2.0]), [1, 1, 0, 0]
    assert contrast("diff", t).of(v) == pytest.approx(2 - 6)
    assert contrast("hajek", t, weights=[3, 1, 1, 1]).of(v) == pytest.approx(1.5 - 6)
    # weights 1/e of 2 and 4 for treated, 1/(1-e) of 2 and 4 for the rest
    assert contrast("hajek", t, [0.5, 0.25, 0.5, 0.75]).of(v) == pytest.approx(14 / 6 - 28 / 6)


@pytest.mark.parametrize("constant", [0.1, 1.0, 7.0])
def test_equal_weights_change_nothing(constant: float) -> None:
    rng = np.random.default_rng(0)
    v, t = rng.normal(size=50), rng.integers(0, 2, 50)
    assert contrast("hajek", t, weights=np.full(50, constant)).of(v) == pytest.approx(contrast("diff", t).of(v))


def test_propensities_are_kept_from_the_ends() -> None:
    found = contrast("ht", T, [0.0, 1.0])
    assert found.of(V) == pytest.approx((2e6 - 4e6) / 2)
    assert "within 0.01 of 0 or 1" in " ".join(found.doubts)


def test_ppi_with_all_labelled_is_the_contrast_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    y, t = rng.normal(size=40), np.resize([0, 1], 40)
    found = ppi_effect(rng.normal(size=40), t, y, rng=rng)
    assert found.estimate == pytest.approx(contrast("diff", t).of(y))
    assert math.isfinite(found.se)


def test_ppi_by_hand() -> None:
    pred, t = [1.0, 2.0, 3.0, 5.0, 6.0, 7.0], [1, 1, 1, 0, 0, 0]
    labels = [2.0, np.nan, np.nan, 4.0, np.nan, np.nan]
    # treated: mean(2, 3) + (2 - 1); others: mean(6, 7) + (4 - 5)
    assert ppi_effect(pred, t, labels, rng=np.random.default_rng(0)).estimate == pytest.approx(3.5 - 5.5)
    with pytest.raises(InputError, match="no treated unit has a label"):
        ppi_effect(pred, t, [np.nan] * 3 + [1.0] * 3, rng=np.random.default_rng(0))


def test_standard_errors_are_those_of_the_formula() -> None:
    rng = np.random.default_rng(0)
    t = np.resize([0, 0, 1], 900).astype(float)
    v = np.where(t == 1, rng.normal(0, 3, 900), rng.normal(0, 1, 900))
    found = contrast("diff", t)
    expected = math.sqrt(v[t == 1].var() / 300 + v[t == 0].var() / 600)
    effect = estimate(found, v, v, found.draws(v, rng, 2000))
    assert effect.se == pytest.approx(expected, rel=0.06)
    assert effect.low < effect.estimate < effect.high
    assert (effect.high - effect.low) / effect.se == pytest.approx(2 * 1.96, rel=0.1)


def test_blocks_give_the_error_of_single_units(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    above, below = rng.normal(2, 3, size=20_000), np.ones(20_000)
    monkeypatch.setattr(contrasts, "BLOCKS", 400)
    assert bootstrap_ratios([(1, above, below)], rng, 2000).std() == pytest.approx(3 / math.sqrt(20_000), rel=0.1)


@pytest.mark.parametrize(
    "corrector", [LinearCalibration(), TweedieCorrection(), TweedieCorrection(density="target")], ids=repr
)
def test_the_error_of_the_calibration_counts(corrector: Any) -> None:
    """Over many calibration splits, estimates spread as the reported errors say; without the pairs they would not."""
    effects_, ses, alone = [], [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        t = np.resize([0.0, 1.0], 1000)
        pred = rng.normal(size=1000) + t
        held = rng.normal(size=150) + np.resize([0, 1], 150)
        pairs = held, held + rng.normal(size=150)
        found = corrector.fit(*pairs).effect(pred, t, calibration=pairs, resamples=200, calibration_resamples=60)
        effects_.append(found.estimate)
        ses.append(found.se)
        alone.append(found.sampling_se)
        assert found.se == pytest.approx(math.hypot(found.sampling_se, found.calibration_se))
    assert np.mean(ses) == pytest.approx(np.std(effects_), rel=0.3)
    assert np.mean(alone) < np.mean(ses)
    assert np.mean(effects_) == pytest.approx(1.8, abs=0.25)  # attenuation 1.25 / 2.25


def test_an_effect_is_drawn_from_its_seed() -> None:
    pred = np.random.default_rng(0).normal(size=200)
    true, t = pred + np.random.default_rng(1).normal(size=200), np.resize([0, 1], 200)
    found = TweedieCorrection().fit(pred, true)
    first, second = (
        found.effect(pred, t, calibration=(pred, true), seed=3, calibration_resamples=20) for _ in range(2)
    )
    assert first == second
    assert found.effect(pred, t, seed=4).se != first.sampling_se
    assert math.isnan(found.effect(pred, t).calibration_se)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("difff", T), "did you mean 'diff'"),
        (("ht", T), "needs a propensity"),
        (("ht", T, E, E), "no weights"),
        (("diff", T, E), "take estimator 'hajek'"),
        (("diff", [1, 1]), "2 treated units and 0 others"),
        (("diff", [0, 0]), "0 treated units"),
        (("diff", [0, 2]), "labels other than 0 and 1, in row 2"),
        (("hajek", T, [0.5, 1.5]), r"outside \[0, 1\], in row 2"),
        (("hajek", T, [0.5]), "'propensity' has 1 rows"),
        (("hajek", T, None, [1, -1]), "negative values, the first in row 2"),
        (("hajek", T, None, [0, 1]), "sum to 0 in an arm"),
        (("diff", [0, 1, 0], None, None, 2), "'treatment' has 3 rows"),
    ],
)
def test_what_means_nothing_is_refused(arguments: tuple, words: str) -> None:
    with pytest.raises(InputError, match=words):
        contrast(*arguments)


def test_slope_by_hand() -> None:
    found = effect_slope([0, 1, 2], [0.5, 1.0, 1.5])
    assert (found.slope, found.intercept, found.mae) == pytest.approx((0.5, 0.5, 1 / 3))
    assert math.isnan(found.p_value)
    # residuals (-1, 2, -1) / 6 around y = x + 1/3: F = ((4/3 - ...)...) checked against the definition
    true, est = np.arange(4.0), np.array([0.1, 0.9, 2.1, 2.9])
    found = effect_slope(true, est)
    left = ((est - found.slope * true - found.intercept) ** 2).sum()
    f = ((((est - true) ** 2).sum() - left) / 2) / (left / 2)
    assert found.p_value == pytest.approx(1 / (1 + f))  # the tail of F(2, 2) is 1 / (1 + f)
    with pytest.raises(InputError, match="at least 3 that differ"):
        effect_slope([1, 1, 1], [1, 2, 3])
