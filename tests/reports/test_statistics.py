from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.reports.run_statistics import iqm, probability_of_improvement
from pilothouse.reports.statistics import (
    Interval,
    clustered_bootstrap,
    clustered_interval,
    paired_bootstrap,
    paired_difference,
    pass_at_k,
    spearman,
    t_quantile,
    wilson,
)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_wilson_golden():
    assert ends(wilson(8, 10)) == pytest.approx((0.4902, 0.9433), abs=5e-5)
    assert wilson(8, 10).estimate == 0.8
    # p = 0: high = z^2 / (n + z^2) = 3.8415 / 13.8415
    assert ends(wilson(0, 10)) == pytest.approx((0.0, 0.27753), abs=1e-5)
    assert ends(wilson(10, 10)) == pytest.approx((0.72247, 1.0), abs=1e-5)


@pytest.mark.parametrize(("successes", "n"), [(0, 0), (3, 2), (-1, 2)])
def test_wilson_refuses_impossible_counts(successes, n):
    with pytest.raises(ValueError, match="a share needs"):
        wilson(successes, n)


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.99))
def test_wilson_holds_its_estimate_and_mirrors(count, level):
    successes, n = count
    here, there = wilson(successes, n, level), wilson(n - successes, n, level)
    assert 0 <= here.low <= here.estimate <= here.high <= 1
    assert here.low == pytest.approx(1 - there.high, abs=1e-12)


def test_wilson_covers():
    generator, share, n = rng(1), 0.07, 60
    hits = [wilson(int(s), n) for s in generator.binomial(n, share, size=4000)]
    assert 0.93 <= np.mean([i.low <= share <= i.high for i in hits]) <= 0.985


def test_clustered_golden():
    # clusters (1,1), (0,0), (1,0): mean 1/2, residual sums 1, -1, 0; SE = sqrt(3/2 * 2) / 6 = 0.288675; t(2) = 4.30265
    interval = clustered_interval([np.array([1.0, 1.0]), np.array([0.0, 0.0]), np.array([2.0, -1.0])])
    assert interval.estimate == 0.5
    assert interval.n == 3
    assert interval.high - 0.5 == pytest.approx(4.30265 * 0.2886751, rel=1e-5)


def test_clusters_of_one_are_the_ordinary_mean():
    values = np.array([1.0, 4.0, 2.0, 7.0])
    half = 3.18245 * values.std(ddof=1) / 2
    interval = clustered_interval([np.array([v]) for v in values])
    assert ends(interval) == pytest.approx((3.5 - half, 3.5 + half), rel=1e-5)


def test_repeating_every_value_of_a_cluster_adds_no_knowledge():
    once = clustered_interval([np.array([v]) for v in (1.0, 4.0, 2.0)])
    often = clustered_interval([np.full(5, v) for v in (1.0, 4.0, 2.0)])
    assert ends(often) == pytest.approx(ends(once))


def test_clustered_degenerate_cases():
    with pytest.raises(ValueError, match="at least one cluster"):
        clustered_interval([])
    with pytest.raises(ValueError, match="at least one value"):
        clustered_interval([np.array([])])
    alone = clustered_interval([np.array([1.0, 0.0])])
    assert (alone.estimate, alone.low, alone.high) == (0.5, -math.inf, math.inf)
    assert clustered_interval([np.ones(4)] * 10) == wilson(10, 10)
    assert clustered_interval([np.zeros(4)] * 10) == wilson(0, 10)
    assert clustered_interval([np.ones(2), np.ones(2), np.array([0.0, 1.0])]).high == 1.0


def test_clustered_intervals_cover_where_treating_attempts_as_independent_does_not():
    generator, hits, naive = rng(2), [], []
    for _ in range(600):
        chances = generator.beta(0.8, 0.8, size=40)
        clusters = [generator.binomial(1, p, size=8).astype(float) for p in chances]
        interval = clustered_interval(clusters)
        hits.append(interval.low <= 0.5 <= interval.high)
        independent = wilson(int(np.sum(clusters)), 320)
        naive.append(independent.low <= 0.5 <= independent.high)
    assert 0.92 <= np.mean(hits) <= 0.98
    assert np.mean(naive) < 0.85


def test_paired_bootstrap_ignores_pairs_that_were_not_judged():
    after = np.array([1.0, 1.0, np.nan, 0.0, 1.0])
    before = np.array([0.0, 1.0, 0.0, np.nan, 0.0])
    interval = paired_bootstrap(after, before, rng())
    assert interval.estimate == pytest.approx(2 / 3)
    assert interval.n == 3
    assert 0 <= interval.low <= interval.estimate <= interval.high == 1


def test_paired_bootstrap_matches_every_resample_there_is():
    differences = np.array([1.0, 0.0, -1.0])
    means = [np.mean(chosen) for chosen in itertools.product(differences, repeat=3)]
    interval = paired_bootstrap(differences, np.zeros(3), rng(), level=0.8, resamples=40_000)
    assert ends(interval) == pytest.approx(tuple(np.quantile(means, [0.1, 0.9])), abs=1e-9)


def test_paired_bootstrap_covers():
    generator, hits = rng(3), []
    for _ in range(400):
        before = generator.binomial(1, 0.4, size=120).astype(float)
        after = np.where(generator.random(120) < 0.3, 1.0, before)  # gain: 0.3 of the wrong ones = 0.18
        interval = paired_bootstrap(after, before, generator, resamples=800)
        hits.append(interval.low <= 0.18 <= interval.high)
    assert 0.92 <= np.mean(hits) <= 0.98


def test_paired_bootstrap_refuses_what_are_no_pairs():
    with pytest.raises(ValueError, match="one length"):
        paired_bootstrap(np.zeros(3), np.zeros(2), rng())
    with pytest.raises(ValueError, match="no pair"):
        paired_bootstrap(np.array([np.nan]), np.array([1.0]), rng())


def test_the_same_generator_gives_the_same_interval():
    after, before = rng(4).random(50), rng(5).random(50)
    assert paired_bootstrap(after, before, rng(6)) == paired_bootstrap(after, before, rng(6))


def test_clustered_bootstrap_agrees_with_the_clustered_error():
    generator = rng(7)
    clusters = [generator.normal(generator.normal(), 0.5, size=4) for _ in range(200)]
    boot, formula = clustered_bootstrap(clusters, generator), clustered_interval(clusters)
    assert boot.estimate == pytest.approx(formula.estimate)
    assert boot.high - boot.low == pytest.approx(formula.high - formula.low, rel=0.06)


def test_iqm_golden():
    # 8 scores: the mean of the middle four
    scores = np.array([[0.0, 3.0, 5.0, 100.0], [1.0, 2.0, 4.0, 6.0]])
    interval = iqm(scores, rng())
    assert interval.estimate == pytest.approx((2 + 3 + 4 + 5) / 4)
    assert interval.low <= interval.estimate <= interval.high
    assert interval.n == 2


def test_iqm_resamples_runs_within_tasks_only():
    scores = np.array([[0.0, 1.0, 2.0, 3.0]] * 5)  # no spread between runs, much between tasks
    assert ends(iqm(scores, rng())) == pytest.approx((1.5, 1.5))


@pytest.mark.parametrize("scores", [np.zeros(3), np.zeros((0, 2)), np.array([[np.nan]])])
def test_iqm_refuses_what_is_no_matrix(scores):
    with pytest.raises(ValueError, match="matrix"):
        iqm(scores, rng())


def test_probability_of_improvement_golden():
    # task 1: pairs (1,0) win, (1,1) tie, (2,0) win, (2,1) win = 3.5/4; task 2: all four lose
    a, b = np.array([[1.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    assert probability_of_improvement(a, b, rng()).estimate == pytest.approx((3.5 / 4 + 0) / 2)
    assert probability_of_improvement(b, a, rng()).estimate == pytest.approx(1 - 3.5 / 8)
    with pytest.raises(ValueError, match="same tasks"):
        probability_of_improvement(a, b[:, :1], rng())


@pytest.mark.parametrize(
    ("p", "freedom", "value"),
    [
        (0.975, 1, 12.7062),
        (0.975, 2, 4.30265),
        (0.975, 3, 3.18245),
        (0.975, 4, 2.77645),
        (0.975, 9, 2.26216),
        (0.95, 10, 1.81246),
        (0.995, 30, 2.75000),
        (0.975, 120, 1.97993),
        (0.975, 100_000, 1.95999),
    ],
)
def test_t_quantile_matches_the_tables(p, freedom, value):
    assert t_quantile(p, freedom) == pytest.approx(value, rel=3e-6)
    assert t_quantile(1 - p, freedom) == pytest.approx(-value, rel=3e-6)


def test_t_quantile_of_one_half_is_zero():
    assert t_quantile(0.5, 7) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(ValueError, match="Student"):
        t_quantile(0.9, 0)


def test_paired_difference_golden():
    # differences 1, 2, 3: mean 2, s = 1, half = 4.30265 / sqrt(3)
    interval = paired_difference([2.0, 4.0, 6.0], [1.0, 2.0, 3.0])
    assert ends(interval) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-4)
    assert paired_difference([1.0], [0.0]).high == math.inf
    with pytest.raises(ValueError, match="same seeds"):
        paired_difference([], [])


def test_paired_difference_covers_with_three_seeds():
    generator = rng(8)
    hits = []
    for _ in range(1500):
        seed = generator.normal(size=3)  # shared by both sides, so it cancels
        interval = paired_difference(seed + generator.normal(0.2, 0.1, 3), seed)  # type: ignore[arg-type]
        hits.append(interval.low <= 0.2 <= interval.high)
    assert 0.93 <= np.mean(hits) <= 0.97


def test_pass_at_k_golden():
    assert pass_at_k(4, 1, 1) == pytest.approx(0.25)
    assert pass_at_k(4, 1, 2) == pytest.approx(0.5)  # 1 - C(3,2)/C(4,2) = 1 - 3/6
    assert pass_at_k(5, 4, 2) == 1.0
    assert pass_at_k(5, 0, 5) == 0.0
    with pytest.raises(ValueError, match="pass@k"):
        pass_at_k(4, 1, 5)


@given(st.integers(1, 7).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_draws_with_a_right_one(case):
    n, correct, k = case
    right = [i < correct for i in range(n)]
    draws = list(itertools.combinations(right, k))
    assert pass_at_k(n, correct, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_percent():
    interval = Interval(0.5731, 0.52, 0.624, 0.95, 300)
    assert interval.percent() == "57.3 % [52.0, 62.4]"
    assert Interval(0.05, -0.01, 0.11, 0.95, 9).percent(sign=True) == "+5.0 % [-1.0, +11.0]"
    assert Interval(0.5, -math.inf, math.inf, 0.95, 1).percent() == "50.0 % [?, ?]"
    assert interval.to_dict()["n"] == 300


def test_rank_correlation_golden():
    assert spearman([1, 2, 3, 4], [10, 20, 25, 90]) == pytest.approx(1)
    assert spearman([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert spearman([1, 2, 3, 4, 5], [2, 1, 4, 3, 5]) == pytest.approx(0.8)  # 1 - 6 * 4 / (5 * 24)
    assert spearman([1, 2, 3, 4], [0, 0, 1, 1]) == pytest.approx(2 / math.sqrt(5))  # ties take their mean rank
    assert math.isnan(spearman([1, 2], [3, 3]))
    assert math.isnan(spearman([], []))
    with pytest.raises(ValueError, match="not 1 and 2"):
        spearman([1], [1, 2])
