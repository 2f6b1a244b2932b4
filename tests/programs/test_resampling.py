"""Weights, effective size and resampling against values worked by hand, and their limits."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.programs.resampling import (
    annealed,
    distribution,
    draw,
    effective_size,
    entropic,
    log_mean_exp,
    logit,
    multinomial,
    systematic,
)

SCORES = (0.9, 0.5, 0.5, 0.1)
LOGITS = (2.1, -1.2, 1.3, 0.1)
weights = st.lists(st.floats(-16, 16), min_size=1, max_size=12)


def test_odds_not_scores_are_what_chances_go_by():
    logits = [logit(score) for score in SCORES]
    assert logits == pytest.approx([2.1972, 0, 0, -2.1972], abs=1e-4)
    assert distribution(logits) == pytest.approx([0.81, 0.09, 0.09, 0.01])
    assert distribution(logits, 2.0) == pytest.approx([0.5625, 0.1875, 0.1875, 0.0625])
    assert distribution(SCORES) == pytest.approx([0.358, 0.240, 0.240, 0.161], abs=1e-3)


def test_effective_size_of_a_worked_example():
    theta = distribution(LOGITS)
    assert theta == pytest.approx([0.6167, 0.0227, 0.2771, 0.0835], abs=1e-4)
    assert effective_size(theta) == pytest.approx(2.152, abs=1e-3)
    assert effective_size([0.25] * 4) == pytest.approx(4)
    assert effective_size([1.0, 0.0]) == 1


def test_scores_of_0_and_1_have_finite_logits():
    assert logit(1.0) == pytest.approx(16.118, abs=1e-3)
    assert logit(0.0) == pytest.approx(-16.118, abs=1e-3)
    assert logit(1.0, 1e-3) == pytest.approx(math.log(999))


def test_temperature_limits():
    assert distribution(LOGITS, 1e-6) == [1, 0, 0, 0]
    assert distribution(LOGITS, math.inf) == [0.25] * 4


def test_systematic_resampling_by_hand():
    assert systematic((0.5, 0.3, 0.15, 0.05), 4, 0.5) == [0, 0, 1, 2]
    assert systematic((0.9, 0.05, 0.03, 0.02), 4, 0.1) == [0, 0, 0, 0]


@given(weights, st.floats(0, 1, exclude_max=True), st.integers(1, 40))
def test_systematic_resampling_is_within_one_of_its_expectation(logs, u, n):
    theta = distribution(logs)
    drawn = systematic(theta, n, u)
    assert len(drawn) == n
    assert drawn == sorted(drawn)
    for at, chance in enumerate(theta):
        assert math.floor(n * chance - 1e-9) <= drawn.count(at) <= math.ceil(n * chance + 1e-9)


@given(weights, st.floats(-5, 5))
def test_only_differences_of_weights_count(logs, shift):
    theta = distribution(logs)
    assert sum(theta) == pytest.approx(1)
    assert 1 - 1e-9 <= effective_size(theta) <= len(logs) + 1e-9
    assert distribution([log + shift for log in logs]) == pytest.approx(theta, abs=1e-9)
    assert log_mean_exp([log + shift for log in logs]) == pytest.approx(log_mean_exp(logs) + shift)


def test_multinomial_draws_by_the_cumulated_chances():
    assert multinomial((0.5, 0.0, 0.5), (0.0, 0.49, 0.5, 0.999)) == [0, 0, 2, 2]
    assert multinomial((0.1,) * 10, (math.nextafter(1, 0),)) == [9]  # ten tenths add up to less than 1
    counts = np.bincount(draw((0.7, 0.2, 0.1), 20_000, "multinomial", np.random.default_rng(0)), minlength=3)
    assert counts / 20_000 == pytest.approx([0.7, 0.2, 0.1], abs=0.01)
    assert draw((0.0, 1.0), 3, "systematic", np.random.default_rng(0)) == [1, 1, 1]


def test_annealing_is_linear_and_ends():
    assert [annealed(1.0, 3.0, 5, step) for step in range(7)] == [3.0, 2.5, 2.0, 1.5, 1.0, 1.0, 1.0]
    assert [annealed(0.5, None, 0, step) for step in range(3)] == [0.5] * 3


def test_entropic_tempering_acts_early_on_few_heavy_particles():
    assert entropic(1.0, 2.0, 8, 0.25) == pytest.approx(8 / 2 * 0.75)
    assert entropic(1.0, 4.0, 8, 0.25) == 1.0  # half of them is enough
    assert entropic(1.0, 2.0, 8, 0.5) == 1.0  # too late
    assert entropic(2.0, 2.0, 8, 0.25) == pytest.approx(6.0)
