"""Down-sampling at two levels: worked values, brute force, laws, and what it does to a batch."""

from __future__ import annotations

import math
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError
from pilothouse.credit.base import Select
from pilothouse.credit.d3s import D3S
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.max_variance import MaxVariance, max_variance_subset
from pilothouse.credit.schedule import LinearSchedule
from pilothouse.credit.top_tokens import TopTokens, top_token_mask
from pilothouse.objectives.base import Batch, Totals
from pilothouse.objectives.clipped import Clipped
from pilothouse.policies.head_scores import LogitShape, head_scores


def variance(values: torch.Tensor) -> float:
    return float(values.double().var(correction=0))


def chosen(values: list[float], n: int) -> tuple[list[float], float]:
    numbers = torch.tensor(values)
    kept = numbers[max_variance_subset(numbers, n).rows]
    return sorted(kept.tolist(), reverse=True), variance(kept)


def test_subset_by_hand():
    values = [2.0, 1.0, 0.0, 0.0, -1.0, -1.0]
    assert chosen(values, 2) == ([2, -1], 2.25)
    kept, spread = chosen(values, 3)
    assert kept == [2, -1, -1]
    assert spread == pytest.approx(2.0)
    assert chosen(values, 4) == ([2, 1, -1, -1], 1.6875)


numbers = st.lists(st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-3, 3, width=32)), min_size=1, max_size=10)


@settings(deadline=None, max_examples=60)
@given(values=numbers)
def test_scan_finds_what_brute_force_finds(values):
    tensor = torch.tensor(values)
    for n in range(1, len(values) + 1):
        best = max(variance(tensor[list(rows)]) for rows in combinations(range(len(values)), n))
        subset = max_variance_subset(tensor, n, generator=torch.Generator().manual_seed(n))
        assert len(subset.rows.unique()) == n
        assert variance(tensor[subset.rows]) == pytest.approx(best, abs=1e-6)


@settings(deadline=None, max_examples=80)
@given(values=numbers.filter(lambda v: len(v) >= 2 and max(v) - min(v) > 1e-3))
def test_a_standardised_set_has_subsets_of_variance_one(values):
    tensor = torch.tensor(values).double()
    tensor = (tensor - tensor.mean()) / tensor.std(correction=0)
    for n in range(2, len(values) + 1):
        floor = 1.0 if n % 2 == 0 else 1 - 1 / n**2
        assert variance(tensor[max_variance_subset(tensor, n).rows]) >= floor - 1e-6


def test_the_odd_floor_is_reached():
    assert chosen([1.0, 1.0, -1.0, -1.0], 3)[1] == pytest.approx(0.8889, abs=1e-4)


@settings(deadline=None, max_examples=40)
@given(values=st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=10), n=st.integers(1, 10))
def test_the_sign_does_not_matter(values, n):
    tensor, n = torch.tensor(values), min(n, len(values))
    mine, other = (tensor[max_variance_subset(signed, n).rows] for signed in (tensor, -tensor))
    assert variance(mine) == pytest.approx(variance(other), abs=1e-6)


def test_generic_values_keep_the_same_rows_under_a_change_of_sign():
    values = torch.tensor([1.7, -0.3, 0.2, -2.2, 0.9, -0.4])
    for n in range(2, 7):
        assert torch.equal(max_variance_subset(values, n).rows, max_variance_subset(-values, n).rows)


def test_counts_outside_the_set_are_refused_and_equal_values_are_flagged():
    values = torch.tensor([1.0, 1.0, 1.0])
    for n in (0, 4):
        with pytest.raises(ConfigError, match=f"cannot choose {n} of 3 values"):
            max_variance_subset(values, n)
    assert max_variance_subset(values, 2).degenerate
    assert not max_variance_subset(torch.tensor([1.0, 2.0]), 2).degenerate


def test_within_groups_each_group_gives_its_own():
    values, groups = torch.tensor([9.0, 0.0, -9.0, 1.0, 2.0, 3.0]), torch.tensor([7, 7, 7, 2, 2, 2])
    assert max_variance_subset(values, 2, groups).rows.tolist() == [0, 2, 3, 5]


def test_ties_are_drawn_so_that_no_prompt_is_preferred():
    values = torch.tensor([1.0] * 20 + [-1.0] * 20)
    counts = torch.zeros(40)
    for seed in range(200):
        counts[max_variance_subset(values, 10, generator=torch.Generator().manual_seed(seed)).rows] += 1
    assert counts.min() > 20
    assert counts.sum() == 2000
    assert torch.equal(max_variance_subset(values, 10).rows, max_variance_subset(values, 10).rows)


def test_token_key_by_hand(make):
    score = torch.tensor([[0.2, 1.8], [0.8, 0.3]])
    kept = [[False, True], [True, False]]
    assert top_token_mask(score, torch.ones(2, 2, dtype=torch.bool), 0.5).tolist() == kept
    entropies = torch.tensor([[0.1, 0.9], [0.8, 0.3]])
    for sign in (1.0, -1.0):
        weights = sign * torch.tensor([[2.0, 2.0], [-1.0, -1.0]])
        rollouts = make([1.0, 0.0], entropies=entropies)
        assert (
            TopTokens(k=LinearSchedule(start=0.5, end=0.5)).narrow(rollouts, weights, 0.0).train_mask.tolist() == kept
        )


def test_tokens_without_stake_are_never_kept_and_ties_go_by_position():
    mask = torch.tensor([[1, 1, 1, 1, 0]]).bool()
    score = torch.tensor([[0.0, 1.0, 1.0, 0.0, 5.0]])
    assert top_token_mask(score, mask, 0.25).tolist() == [[False, True, False, False, False]]
    assert top_token_mask(score, mask, 1.0).tolist() == [[False, True, True, False, False]]
    assert top_token_mask(score, mask, 0.01).sum() == 1
    ten = torch.ones(1, 30, dtype=torch.bool)
    assert top_token_mask(torch.arange(1.0, 31.0)[None], ten, 0.1).sum() == 3
    with pytest.raises(ConfigError, match=r"share of 0\.0 of the tokens"):
        top_token_mask(score, mask, 0.0)


def test_schedule_is_a_straight_line():
    line = LinearSchedule(start=0.5, end=1.0)
    assert [line(p) for p in (0.0, 0.5, 1.0, 2.0)] == [0.5, 0.75, 1.0, 1.0]
    assert Select.build({"name": "d3s", "n": [0.3, 0.6], "k": 0.5}) == D3S(
        n=LinearSchedule(start=0.3, end=0.6), k=LinearSchedule(start=0.5, end=0.5)
    )
    for wrong in ([0.0, 1.0], 1.5, "half"):
        with pytest.raises(ConfigError):
            Select.build({"name": "d3s", "n": wrong})


def batch(make, rewards, groups, **fields):
    draw = torch.Generator().manual_seed(3)
    entropies = torch.rand(len(rewards), 2, generator=draw) + 0.1
    return make(rewards, groups, entropies=entropies, **fields)


def test_at_least_two_episodes_are_kept(make):
    rollouts = batch(make, [1.0, 0.0, 0.0, 1.0], [0] * 4)
    few = MaxVariance(n=LinearSchedule(start=0.01, end=0.01))
    assert few.narrow(rollouts, GRPO()(rollouts), 0.0).train_mask.any(dim=1).sum() == 2


def test_everything_kept_is_the_base_method(make):
    rollouts = batch(make, [1.0, 0.0, 0.0, 1.0, 1.0, 1.0], [0, 0, 0, 0, 1, 1])
    weights = GRPO()(rollouts)
    all_of_it = D3S(n=LinearSchedule(), k=LinearSchedule())
    assert not all_of_it.requirements()

    def loss_and_gradient(trained):
        logprobs = torch.full(weights.shape, -1.0, requires_grad=True)
        made = Batch(logprobs, logprobs.detach() - 0.1, weights, trained.train_mask, Totals.of(trained.train_mask))
        loss = Clipped()(made)[0]
        return loss, torch.autograd.grad(loss, logprobs)[0]

    for progress in (0.0, 0.4, 0.99):
        kept = all_of_it.narrow(rollouts, weights, progress)
        for mine, base in zip(loss_and_gradient(kept), loss_and_gradient(rollouts), strict=True):
            assert torch.equal(mine, base)
    assert (
        not D3S(n=LinearSchedule(), k=LinearSchedule(), drop_zero_advantage=True)
        .narrow(rollouts, weights, 0.0)
        .train_mask[4:]
        .any()
    )


def test_credit_of_kept_episodes_is_not_touched(make):
    rollouts = batch(make, [1.0, 0.0, 0.0, 0.5, 0.2, 0.9], [0, 0, 0, 1, 1, 1])
    before = GRPO()(rollouts)
    kept = D3S().narrow(rollouts, before, 0.0)
    assert 0 < kept.train_mask.sum() < rollouts.train_mask.sum()
    assert torch.equal(GRPO()(kept)[kept.train_mask], before[kept.train_mask])
    assert torch.equal(kept.stats_mask, rollouts.stats_mask)


def test_groups_without_signal_wait_behind_all_others(make):
    rewards, groups = [1.0] * 4 + [1.0, 0.0, 0.0, 1.0] + [0.0] * 4, [0] * 4 + [1] * 4 + [2] * 4
    rollouts = batch(make, rewards, groups)
    weights = GRPO()(rollouts)
    third = MaxVariance(n=LinearSchedule(start=1 / 3, end=1 / 3))
    assert third.narrow(rollouts, weights, 0.0).train_mask.any(dim=1).nonzero().flatten().tolist() == [4, 5, 6, 7]
    inside = MaxVariance(n=LinearSchedule(start=0.5, end=0.5), cross_group=False)
    assert inside.narrow(rollouts, weights, 0.0).train_mask.any(dim=1).reshape(3, 4).sum(1).tolist() == [2, 2, 2]


def test_a_batch_without_signal_trains_nothing(make):
    rollouts = batch(make, [1.0] * 8, [0] * 4 + [1] * 4)
    assert not D3S().narrow(rollouts, GRPO()(rollouts), 0.0).train_mask.any()


def test_ties_go_on_after_a_resume(make):
    rollouts = batch(make, [1.0, 0.0] * 8, [0] * 16)
    weights, part = GRPO()(rollouts), D3S(seed=5)
    part.narrow(rollouts, weights, 0.1)
    state = part.state_dict()
    after = part.narrow(rollouts, weights, 0.1).train_mask
    resumed = D3S(seed=5)
    resumed.load_state_dict(state)
    assert torch.equal(resumed.narrow(rollouts, weights, 0.1).train_mask, after)
    assert not torch.equal(part.narrow(rollouts, weights, 0.1).train_mask, after)


def test_entropies_are_asked_for_only_when_tokens_are_chosen(make):
    assert D3S().requirements() == {"entropies"}
    assert not MaxVariance().requirements()
    with pytest.raises(ConfigError, match="needs entropies"):
        D3S().narrow(make([1.0, 0.0]), torch.ones(2, 2), 0.0)


def test_entropy_of_the_uniform_and_of_the_certain():
    weight = torch.eye(4)
    hidden = torch.stack([torch.zeros(4), torch.tensor([200.0, 0.0, 0.0, 0.0])])
    targets, heat = torch.zeros(2, dtype=torch.long), torch.ones(2)
    _, entropy = head_scores(hidden, weight, None, targets, heat, LogitShape(), 1, True)
    assert entropy.tolist() == pytest.approx([math.log(4), 0.0], abs=1e-6)
