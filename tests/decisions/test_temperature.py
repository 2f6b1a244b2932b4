"""Temperature scaling: what it leaves alone, what it finds, and calibration sets that say nothing."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from pilothouse.decisions.calibration import calibration
from pilothouse.decisions.temperature import T_RANGE, TemperatureScaler
from pilothouse.reports.statistics import auc


def sample(n: int, temperature: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose logits are ``temperature`` times too large, and labels."""
    rng = np.random.default_rng(seed)
    logits = 1.5 * rng.standard_normal(n)
    y = (rng.random(n) < 1 / (1 + np.exp(-logits))).astype(int)
    return 1 / (1 + np.exp(-temperature * logits)), y


def test_one_is_recovered_where_nothing_is_wrong() -> None:
    p, y = sample(20_000)
    assert abs(TemperatureScaler().fit(p, y).temperature_[0] - 1) < 0.1


@pytest.mark.parametrize("wrong", [0.4, 2.5])
def test_confidence_is_corrected_and_order_is_kept(wrong: float) -> None:
    p, y = sample(20_000, wrong)
    scaler = TemperatureScaler().fit(p, y)
    assert scaler.temperature_[0] == pytest.approx(wrong, rel=0.1)
    q = scaler.transform(p)
    assert auc(q[y == 1], q[y == 0]) == pytest.approx(auc(p[y == 1], p[y == 0]), abs=1e-12)
    assert ((p > 0.5) == (q > 0.5)).all()
    before, after = calibration(p, y), calibration(q, y)
    assert after.nll < before.nll
    assert after.ece < before.ece


def test_by_hand_one_probability_and_its_mirror() -> None:
    # Labels agree with 0.9 (or its mirror 0.1) three times in four: the best temperature turns 0.9 into 0.75.
    p, y = np.array([0.9] * 4 + [0.1] * 4), np.array([1, 1, 1, 0, 0, 0, 0, 1])
    scaler = TemperatureScaler(min_rows=8).fit(p, y)
    assert scaler.temperature_[0] == pytest.approx(math.log(9) / math.log(3), rel=1e-5)
    assert scaler.transform([0.9]) == pytest.approx([0.75], abs=1e-5)


def test_logits_columns_weights_and_kinds() -> None:
    p, y = sample(500, 2.0)
    logits = np.log(p / (1 - p))
    t = TemperatureScaler().fit(p, y).temperature_
    assert TemperatureScaler(given="logit").fit(logits, y).temperature_ == pytest.approx(t)
    two = TemperatureScaler(given="logit").fit(np.stack([logits, 2 * logits], axis=1), y)
    assert two.temperature_ == pytest.approx([t[0], 2 * t[0]], rel=1e-5)
    doubled = TemperatureScaler().fit(np.concatenate([p, p[:100]]), np.concatenate([y, y[:100]]))
    weighted = TemperatureScaler().fit(p, y, sample_weight=np.r_[np.full(100, 2.0), np.ones(400)])
    assert weighted.temperature_ == pytest.approx(doubled.temperature_, rel=1e-5)
    scaler = TemperatureScaler().fit(torch.tensor(p), torch.tensor(y))
    assert scaler.temperature_ == pytest.approx(t)
    assert isinstance(scaler.transform(torch.tensor(p)), torch.Tensor)
    assert scaler.transform(pd.Series(p, index=range(7, 507))).index[0] == 7


def test_the_ends_of_the_range() -> None:
    p, y = sample(200)
    assert TemperatureScaler().fit(p, (p > 0.5).astype(int)).temperature_[0] == pytest.approx(T_RANGE[0])
    assert TemperatureScaler().fit(p, (p < 0.5).astype(int)).temperature_[0] == pytest.approx(T_RANGE[1])
    certain = np.r_[p[:-2], 0.0, 1.0]
    assert np.isfinite(TemperatureScaler().fit(certain, y).transform(certain)).all()


def test_a_window_follows_what_drifts() -> None:
    before, after = sample(400, 1.0), sample(400, 3.0, seed=1)
    scaler = TemperatureScaler(window=400).partial_fit(*before).partial_fit(*after)
    assert scaler.temperature_ == pytest.approx(TemperatureScaler().fit(*after).temperature_)
    everything = TemperatureScaler().partial_fit(*before).partial_fit(*after)
    both = [np.concatenate(pair) for pair in zip(before, after, strict=True)]
    assert everything.temperature_ == pytest.approx(TemperatureScaler().fit(*both).temperature_)


@pytest.mark.parametrize(
    ("p", "y", "says"),
    [
        ([0.2] * 4 + [0.3], [0, 1, 0, 1, 0], "a calibration set of 5 samples is too small: give at least 10"),
        (np.linspace(0.1, 0.9, 20), [1] * 20, "all of one class"),
        ([0.5] * 20, [0, 1] * 10, "the probabilities of the calibration set are all alike"),
        ([0.5, math.nan] * 10, [0, 1] * 10, "NaN or infinite, in rows 2, 4, 6, 8, 10 and 5 more"),
        ([0.5, 1.2] * 10, [0, 1] * 10, r"outside \[0, 1\], in rows 2, 4"),
        ([0.5, 0.4] * 10, [0, 1, 2, 0] * 5, "more|Only binary"),
        ([0.5, 0.4] * 10, [0, 1] * 9, "'y' has 18 rows and 'X' has 20"),
    ],
)
def test_calibration_sets_that_say_nothing(p, y, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        TemperatureScaler().fit(p, y)
