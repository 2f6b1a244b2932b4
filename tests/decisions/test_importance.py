"""Importances worked by hand on a model whose truth is known, then their limiting cases and symmetries."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.core.branches import Branch
from pilothouse.core.embedders import Exact, Likeness
from pilothouse.core.errors import DataError
from pilothouse.decisions.importance import (
    counterfactual_importance,
    counterfactual_pp,
    different_replacement,
    forced_importance,
    never_again,
    resampling_importance,
    similarity_quantile,
)
from pilothouse.decisions.measures import Measure, divergence, shift, smoothed
from pilothouse.decisions.resilience import resilience

PLAN = "The plan."


def outcomes(yes: int, no: int, none: int = 0) -> list[str | None]:
    return ["yes"] * yes + ["no"] * no + [None] * none


def test_divergence_golden():
    assert divergence(np.array([0.8, 0.2]), np.array([0.5, 0.5])) == pytest.approx(0.19274, abs=5e-6)
    assert divergence(np.array([0.5, 0.5]), np.array([0.8, 0.2])) == pytest.approx(0.22314, abs=5e-6)
    assert divergence(np.array([0.3, 0.7]), np.array([0.3, 0.7])) == 0
    assert divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0])) == math.inf
    assert divergence(np.array([0.0, 1.0]), np.array([0.5, 0.5])) == pytest.approx(math.log(2))


def test_pseudo_counts_golden(rng):
    assert smoothed(np.array([3, 7]), 1)[0] == pytest.approx(4 / 12)
    assert smoothed(np.array([8, 2]), 1)[0] == pytest.approx(9 / 12)
    assert shift(outcomes(3, 7), outcomes(8, 2), alpha=1, rng=rng).value == pytest.approx(0.38358, abs=5e-6)


def test_known_model_of_three_sentences(three, exact, rng):
    removed, kept = three
    plain = counterfactual_importance(PLAN, removed, kept, exact, rng=rng)
    strict = counterfactual_pp(PLAN, removed, kept, exact, rng=rng)
    assert plain.value == pytest.approx(0.3479, abs=5e-5)
    assert strict.value == pytest.approx(1.7578, abs=5e-5)
    assert (plain.n, strict.n, plain.kept) == (100, 40, 100)
    assert plain.change["yes"] == pytest.approx(0.58 - 0.9)
    assert strict.change == pytest.approx({"yes": -0.8, "no": 0.8})
    assert strict.counts == {"no": (36, 10), "yes": (4, 90)}
    assert plain.different == 0.5
    assert plain.overdetermined == pytest.approx(1 - 2 / 200)
    for found in (plain, strict):
        assert found.low < found.value < found.high


def test_similar_branches_may_count_as_kept(three, exact, rng):
    removed, kept = three
    found = counterfactual_importance(PLAN, removed, kept, exact, rng=rng, use_similar=True)
    assert found.kept == 200  # the plan said at once: 90 yes, 10 no
    assert found.value == pytest.approx(0.3479, abs=5e-5)


def test_identical_sets_differ_by_nothing(branches, rng):
    same = branches((("a.",), 30, 70))
    found = resampling_importance(same, same, rng=rng)
    assert found.value == 0
    assert found.change == {"yes": 0.0, "no": 0.0}
    seeded = [np.random.default_rng(1), np.random.default_rng(1)]
    assert forced_importance(same, same, rng=seeded[0]) == resampling_importance(same, same, rng=seeded[1])


def test_a_threshold_nothing_reaches_gives_resampling_importance(three, rng):
    removed, kept = three
    nothing = Likeness(embedder=Exact(), threshold=1.1)
    found = counterfactual_importance(PLAN, removed, kept, nothing, rng=rng)
    assert found.value == resampling_importance(removed, kept, rng=rng).value
    assert found.n == 200


def test_a_threshold_everything_reaches_leaves_no_evidence(three, rng, branches):
    removed, kept = three
    everything = Likeness(embedder=Exact(), threshold=-1.0)
    ended = [Branch(0, outcome="yes")]
    for measure in (counterfactual_importance, counterfactual_pp):
        found = measure(PLAN, removed + ended, kept, everything, rng=rng)
        assert math.isnan(found.value)
        assert found.n == 0
        assert measure(PLAN, removed, kept, everything, rng=rng, empty=0.0).value == 0
    assert math.isnan(counterfactual_pp(PLAN, removed, [], everything, rng=rng).value)


def test_too_few_different_replacements_fall_back(three, exact, rng):
    removed, kept = three
    assert not counterfactual_importance(PLAN, removed, kept, exact, rng=rng, fallback=0.5).fell_back
    found = counterfactual_importance(PLAN, removed, kept, exact, rng=rng, fallback=0.51)
    assert found.fell_back
    assert found.value == resampling_importance(removed, kept, rng=rng).value


def test_cut_off_chains_abstain(exact, rng):
    removed = [Branch.of(0, ("x",), outcome) for outcome in outcomes(3, 7, 5)]
    kept = [Branch.of(1, ("y",), outcome) for outcome in outcomes(8, 2, 1)]
    found = counterfactual_importance("s", removed, kept, exact, rng=rng, alpha=1)
    assert found.value == pytest.approx(0.38358, abs=5e-6)
    assert (found.n, found.kept, found.abstained) == (10, 10, (5, 1))


def test_outcomes_must_be_of_the_classes_given(three, exact, rng):
    removed, kept = three
    with pytest.raises(DataError, match="outcome 'yes' is not one of the classes maybe, no"):
        counterfactual_importance(PLAN, removed, kept, exact, rng=rng, classes=("no", "maybe"))
    found = counterfactual_importance(PLAN, removed, kept, exact, rng=rng, classes=("no", "yes", "maybe"), alpha=1)
    assert found.counts["maybe"] == (0, 0)


sentence = st.sampled_from(["P", "a", "b"])
branch = st.builds(
    lambda said, outcome: Branch.of(0, said, outcome),
    st.lists(sentence, min_size=1, max_size=4),
    st.sampled_from(["yes", "no", None]),
)


@given(st.lists(branch, max_size=12), st.lists(branch, min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_who_never_says_it_again_did_not_say_it_first(removed, kept, order):
    exact = Likeness(embedder=Exact(), threshold=1.0)
    first, never = different_replacement("P", removed, exact), never_again("P", removed, exact)
    assert not (never & ~first).any()
    returns = [("P" in b.later) for b in removed]
    if not any(returns):
        assert (never == first).all()
    # the order of branches changes nothing; without pseudo-counts, neither does saying everything twice
    shuffled = removed[:]
    order.shuffle(shuffled)
    for measure in (counterfactual_importance, counterfactual_pp):
        rng = [np.random.default_rng(1) for _ in range(3)]
        base = measure("P", removed, kept, exact, rng=rng[0], resamples=20)
        again = measure("P", shuffled, kept[::-1], exact, rng=rng[1], resamples=20)
        np.testing.assert_equal((again.value, again.low, again.n), (base.value, base.low, base.n))
        once = measure("P", removed, kept, exact, rng=rng[2], alpha=0.0, resamples=2)
        twice = measure("P", removed * 2, kept * 2, exact, rng=rng[2], alpha=0.0, resamples=2)
        np.testing.assert_allclose(twice.value, once.value, rtol=1e-12)


def test_the_median_threshold_calls_half_the_pairs_different():
    removed = [Branch.of(0, (said,), "yes") for said in ("P", "P", "P", "a", "b", "c")]
    exact = Likeness(embedder=Exact())
    assert similarity_quantile([("P", removed)], exact) == pytest.approx(0.5)
    assert similarity_quantile([("P", removed)], exact, 0.75) == 1
    rare = [Branch.of(0, (said,), "yes") for said in ("P", "a", "b", "c")]
    assert 0 < similarity_quantile([("P", rare)], exact) < 1e-9  # what has nothing in common is not similar
    with pytest.raises(DataError, match="no replaced sentence to take a threshold from"):
        similarity_quantile([("P", [Branch(0)])], exact)


def test_resilience_is_a_mean_with_an_interval(rng):
    found = resilience([Branch(0, removals=k) for k in (0, 1, 2, 5)], rng=rng, most=5)
    assert (found.value, found.n, found.capped) == (2.0, 4, 0.25)
    assert found.low < 2 < found.high
    assert resilience([Branch(0, removals=2)], rng=rng, positions=4).value == 0.5
    assert resilience([], rng=rng).n == 0
    assert math.isnan(Measure.none().value)
