"""Transplant curves telescope, and a hint without effect leaves them flat."""

import math

import numpy as np
import pytest

from pilothouse.core.branches import Branch
from pilothouse.core.errors import DataError
from pilothouse.decisions.transplant import sandwich_effects, transplant_curve


def point(kept: int, hinted: int, other: int, cut_off: int = 0) -> list[Branch]:
    outcomes = ["B"] * hinted + ["A"] * other + [None] * cut_off
    return [Branch(kept, "x", (), outcome) for outcome in outcomes]


def test_curve_golden(rng):
    points = [point(0, 2, 8), point(1, 3, 7), point(2, 4, 1, cut_off=5), point(3, 9, 1)]
    curve = transplant_curve(points, "B", rng=rng)
    assert curve.shares.tolist() == pytest.approx([0.2, 0.3, 0.8, 0.9])
    assert curve.trials.tolist() == [10, 10, 5, 10]
    assert curve.effects.sum() == pytest.approx(curve.total.value, abs=1e-15)
    assert curve.total.value == pytest.approx(0.7, abs=1e-15)
    assert curve.largest == pytest.approx(0.5)
    assert curve.total.low < 0.7 < curve.total.high <= 1


def test_effects_add_up_to_the_total():
    draw = np.random.default_rng(3)
    points = [point(i, int(k), 50 - int(k)) for i, k in enumerate(draw.integers(0, 51, size=30))]
    curve = transplant_curve(points, "B", rng=draw)
    assert math.fsum(curve.effects) == pytest.approx(curve.total.value, abs=1e-12)


def test_a_hint_without_effect_stays_within_three_standard_errors():
    draw = np.random.default_rng(7)
    m, p = 100, 0.4
    points = [point(i, k := int(draw.binomial(m, p)), m - k) for i in range(12)]
    curve = transplant_curve(points, "B", rng=draw)
    # the difference of two shares of m draws each
    assert (np.abs(curve.shares - curve.shares[0]) <= 3 * math.sqrt(2 * p * (1 - p) / m)).all()


def test_points_without_an_outcome_are_nan_and_not_zero(rng):
    curve = transplant_curve([point(0, 1, 1), point(1, 0, 0, cut_off=4)], "B", rng=rng)
    assert np.isnan(curve.shares[1])
    assert curve.total.n == 0
    with pytest.raises(DataError, match="at least two points, not 1"):
        transplant_curve([point(0, 1, 1)], "B", rng=rng)


def test_sandwich_compares_the_same_points(rng):
    plain, steered = [point(0, 2, 8), point(1, 5, 5)], [point(0, 5, 5), point(1, 5, 5)]
    found = sandwich_effects(plain, steered, "B", rng=rng)
    assert [effect.value for effect in found] == pytest.approx([0.3, 0.0])
    with pytest.raises(DataError, match="same points of a chain, not 2 with 1"):
        sandwich_effects(plain, steered[:1], "B", rng=rng)
