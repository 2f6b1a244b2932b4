"""Risk measures, bundles and tracked quantiles: by hand, by law, and by their gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError
from pilothouse.credit.base import Credit
from pilothouse.credit.bundles import bundles, spread
from pilothouse.credit.diagnostics import logprob_covariance
from pilothouse.credit.quantiles import QuantileTracker
from pilothouse.credit.risk import risk_advantage, risk_value, tail_weights
from pilothouse.credit.riskpo import RiskPO

SCORES = torch.arange(5, dtype=torch.double)[None]
MVAR = tail_weights("mvar", 0.2, 0.8, 0.5)


def quantiles(scores: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.quantile(scores, 0.2, dim=1, keepdim=True), torch.quantile(scores, 0.8, dim=1, keepdim=True)


def advantage(scores: torch.Tensor, weights=MVAR, **how: bool) -> torch.Tensor:
    return risk_advantage(scores, *quantiles(scores), weights, **how)


def per_episode(credit: Credit, rollouts) -> list[float]:
    return credit(rollouts)[:, 0].tolist()


def test_mvar_by_hand():
    assert advantage(SCORES)[0].tolist() == pytest.approx([-3.6, -2.2, -1.2, -0.2, 0.0])


def test_normalised_form_by_hand():
    weights = tail_weights("mvar-normalized", 0.2, 0.8, 0.5)
    found = advantage(SCORES, weights)[0]
    assert found.tolist() == pytest.approx([-4, -1.4667, -0.8, -0.1333, 0], abs=1e-4)
    assert (found / SCORES.std()).tolist() == pytest.approx([-2.5298, -0.9276, -0.5060, -0.0843, 0], abs=1e-4)
    plain = advantage(SCORES, weights, natural_baseline=False)[0]
    assert plain.tolist() == pytest.approx([-2.4, 0.1333, 0.8, 1.4667, 1.6], abs=1e-4)


def test_the_credit_gives_the_same_figures(make):
    rollouts = make([0.0, 1, 2, 3, 4])
    credit = RiskPO(bundle_size=1, quantiles="batch", permute=False)
    assert per_episode(credit, rollouts) == pytest.approx([-3.6, -2.2, -1.2, -0.2, 0.0], abs=1e-6)
    code = RiskPO(bundle_size=1, quantiles="batch", permute=False, measure="mvar-normalized", scale="std")
    assert per_episode(code, rollouts) == pytest.approx([-2.5298, -0.9276, -0.5060, -0.0843, 0], abs=1e-4)


def test_the_other_measures_by_hand():
    found = {name: advantage(SCORES, tail_weights(name, 0.2, 0.8))[0] for name in ("cvar", "rvar", "upper-cvar")}
    assert found["cvar"].tolist() == pytest.approx([-4, 0, 0, 0, 0])
    assert found["rvar"].tolist() == pytest.approx([-4, -11 / 3, -2, -1 / 3, 0], abs=1e-4)
    assert found["upper-cvar"].tolist() == pytest.approx([0, 0, 0, 0, 4])
    seeking = advantage(SCORES, tail_weights("risk-seeking", 0.2, 0.8, 0.5), natural_baseline=False)[0]
    assert seeking.tolist() == pytest.approx([0, 0.1333, 0.8, 1.4667, 1.6 + 1.5 * 4 / 2.5], abs=1e-4)


def test_the_mean_is_the_limit_without_tails():
    low, high = SCORES.min()[None, None], SCORES.max()[None, None]
    found = risk_advantage(SCORES, low, high, tail_weights("mvar", 1e-9, 1 - 1e-9, 0.0))
    assert found.tolist() == (SCORES - SCORES.max()).tolist()


@settings(deadline=None)
@given(st.lists(st.integers(-20, 20), min_size=2, max_size=12), st.integers(-9, 9), st.integers(1, 9))
def test_shift_leaves_and_scale_scales_the_advantage(values, shift, scale):
    scores = torch.tensor([values], dtype=torch.double)
    before = advantage(scores)
    assert bool((before <= 1e-12).all())
    torch.testing.assert_close(advantage(scores + shift), before)
    torch.testing.assert_close(advantage(scores * scale), before * scale)


def test_std_scaling_removes_the_unit_of_the_reward(make):
    credit = RiskPO(bundle_size=1, quantiles="batch", permute=False, scale="std")
    one, ten = make([0.0, 1, 2, 3, 4]), make([0.0, 10, 20, 30, 40])
    assert per_episode(credit, ten) == pytest.approx(per_episode(credit, one), abs=1e-5)


def test_scores_that_are_equal_never_blow_up(make):
    even = make([1.0] * 6, [0, 0, 0, 1, 1, 1])
    assert not RiskPO(bundle_size=2, quantiles="batch", scale="std")(even).any()
    tracked = RiskPO(bundle_size=2, scale="std")
    tracked.load_state_dict({"batches": 1, "tracked": [2.5, 3.0]})
    # q_low - S = 0.5 counts 1.5-fold, and S is 1 below q_high once it is clipped to q_low: -(0.75 + 0.5)
    assert per_episode(tracked, even) == pytest.approx([-1.25] * 6)


def test_levels_in_disorder_and_scores_that_are_not_finite_are_refused():
    for alpha, beta in ((0.8, 0.2), (0.5, 0.5), (0.0, 0.8), (0.2, 1.0)):
        with pytest.raises(ConfigError, match="0 < alpha < beta < 1"):
            Credit.build({"name": "riskpo", "alpha": alpha, "beta": beta})
        with pytest.raises(ConfigError, match="0 < alpha < beta < 1"):
            tail_weights("mvar", alpha, beta)
    with pytest.raises(ConfigError, match="finite"):
        advantage(torch.tensor([[0.0, float("nan")]]))
    with pytest.raises(ConfigError, match="would punish the right responses"):
        Credit.build({"name": "riskpo", "spread": "sum-mean"})


def test_tracker_by_hand():
    tracker = QuantileTracker((0.2,), lr=0.1, init=1.0)
    tracker.update(torch.tensor([0.0, 0, 1, 2]))
    assert tracker.value(0.2) == pytest.approx(0.97)
    first = QuantileTracker((0.2, 0.8))
    with pytest.raises(ConfigError, match="not known"):
        first.value(0.2)
    first.update(SCORES[0])
    assert first.values == pytest.approx((0.8, 3.2))


def test_tracker_settles_at_the_quantile():
    tracker, draw = QuantileTracker((0.2, 0.8), lr=0.02, init=0.0), torch.Generator().manual_seed(0)
    for _ in range(3000):
        tracker.update(torch.rand(50, generator=draw))
    assert tracker.values == pytest.approx((0.2, 0.8), abs=0.03)


def test_the_quantiles_of_a_step_are_those_before_it(make):
    credit = RiskPO(bundle_size=1, permute=False)
    low, high = make([0.0, 1, 2, 3, 4]), make([9.0] * 5)
    credit(low)
    assert credit.state_dict()["tracked"] == pytest.approx([0.8, 3.2])
    assert per_episode(credit, high) == [0.0] * 5  # far above q_high; with this batch's own quantiles too, so look on
    assert credit.state_dict()["tracked"] == pytest.approx([0.82, 3.28])
    assert per_episode(credit, low)[0] == pytest.approx(-1.5 * 0.82 + 0.82 - 3.28, abs=1e-5)


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 7), st.integers(1, 6), st.integers(1, 8), st.integers(0, 99))
def test_bundling_is_a_bijection(prompts, attempts, size, seed):
    groups = torch.arange(prompts).repeat_interleave(attempts)
    counted = torch.ones(len(groups), dtype=torch.bool)
    blocks = bundles(groups, counted, size, torch.Generator().manual_seed(seed))
    assert sorted(torch.cat([rows.flatten() for rows in blocks]).tolist()) == list(range(len(groups)))
    for rows in blocks:
        assert bool((groups[rows] == groups[rows[:, :1]]).all())
        assert len(set(groups[rows[:, 0]].tolist())) == len(rows)
    rewards = torch.rand(len(groups), dtype=torch.double)
    assert float(sum(rewards[rows].sum(0).sum() for rows in blocks)) == pytest.approx(float(rewards.sum()))


def test_ragged_groups_bundle_as_far_as_the_smallest_reaches_and_the_rest_weighs_nothing(make):
    rewards = [1.0, 0, 1, 0, 1, float("nan")]
    rollouts = make(rewards, [0, 0, 0, 1, 1, 1])
    credit = RiskPO(bundle_size=2, permute=False, natural_baseline=False)
    (rows,) = bundles(rollouts.groups, rollouts.stats_mask, 2)
    assert rows.tolist() == [[0, 1], [3, 4]]
    weights = credit(rollouts)
    assert not weights[[2, 5]].any()
    assert credit.figures()["risk/unused"] == pytest.approx(2 / 6)


def test_a_smaller_last_block_is_measured_by_its_size_or_left_out(make):
    rollouts = make([2.0, 2, 2, 2, 0, 2], [0, 0, 1, 1, 2, 2])
    credit = RiskPO(bundle_size=2, permute=False)
    credit.load_state_dict({"batches": 1, "tracked": [3.0, 4.0]})
    # the last block holds one prompt of two: its quantiles are 1.5 and 2, so S = 0 gives -1.5 * 1.5 + 1.5 - 2
    assert per_episode(credit, rollouts) == pytest.approx([0, 0, 0, 0, -2.75, 0])
    without = RiskPO(bundle_size=2, drop_last=True)
    assert not without(rollouts)[4:].any()
    assert without.problems_needed() == 2


def test_shuffles_pair_responses_anew_each_step_and_repeat_after_a_resume(make):
    draw = torch.Generator().manual_seed(0)
    rollouts = make(torch.rand(40, generator=draw).tolist(), [i // 8 for i in range(40)])
    credit = RiskPO(seed=3)
    first = credit(rollouts)
    state = credit.state_dict()
    second = credit(rollouts)
    assert not torch.equal(first, second)
    resumed = RiskPO(seed=3)
    resumed.load_state_dict(state)
    assert torch.equal(resumed(rollouts), second)
    assert resumed.state_dict() == credit.state_dict()
    summed = 0.5 * RiskPO(seed=3)
    summed.load_state_dict({"0": state})
    torch.testing.assert_close(summed(rollouts), 0.5 * second)


def test_without_shuffling_the_order_of_prompts_does_not_matter(make):
    rewards, groups = [0.0, 1, 1, 0, 0.5, 0.2], [4, 4, 2, 2, 9, 9]
    order = torch.tensor([4, 0, 2, 1, 5, 3])
    credit = RiskPO(bundle_size=2, permute=False)
    before = credit(make(rewards, groups))
    again = RiskPO(bundle_size=2, permute=False)(make(rewards, groups).take(order))
    torch.testing.assert_close(again, before[order])


def test_spread_by_hand():
    rewards = torch.tensor([[1.0], [0.0], [0.5]])
    mean, std = torch.tensor([[0.5], [0.25], [0.25]]), torch.tensor([[0.5], [0.0], [2.0]])
    whole = torch.tensor([0.6])
    found = {mode: spread(whole, rewards, mode, mean, std)[:, 0].tolist() for mode in ("score", "std", "uniform")}
    assert found["uniform"] == pytest.approx([0.6, 0.6, 0.6])
    assert found["score"] == pytest.approx([0.3, 0.9, 0.3])
    assert found["std"] == pytest.approx([1.2, 0.6, 0.3])
    shares = spread(whole, rewards, "sum-mean", mean, std)[:, 0]
    assert shares.tolist() == pytest.approx([0.6, -0.3, 0.3])
    assert float(shares.sum()) == pytest.approx(0.6)


def test_sum_mean_never_divides_by_almost_nothing():
    rewards, std = torch.tensor([[1.0], [0.0]]), torch.ones(2, 1)
    even = spread(torch.tensor([2.0]), rewards, "sum-mean", torch.tensor([[0.5], [0.5]]), std)
    assert even[:, 0].tolist() == [1.0, 1.0]
    tiny = spread(torch.tensor([2.0]), rewards, "sum-mean", torch.tensor([[0.5], [0.49]]), std)
    assert tiny[:, 0].tolist() == pytest.approx([10.0, -10.0])


def test_single_binary_rewards_give_an_affine_map_of_them(make):
    rewards = [1.0, 0, 1, 0, 1, 1, 0, 0, 1, 0]
    found = per_episode(RiskPO(bundle_size=1, quantiles="batch"), make(rewards))
    assert found == pytest.approx([reward - 1 for reward in rewards])  # q_alpha = 0 and q_beta = 1


def test_expected_gradient_is_that_of_the_risk_measure():
    rewards = torch.tensor([[0.0, 1.0], [0.4, 0.6], [0.2, 2.0]], dtype=torch.double)  # each arm pays one of two
    chances = torch.tensor([[0.3, 0.7], [0.5, 0.5], [0.6, 0.4]], dtype=torch.double)
    logits = torch.tensor([0.2, -0.1, 0.4], dtype=torch.double, requires_grad=True)
    value = risk_value(rewards.flatten(), (logits.softmax(0)[:, None] * chances).flatten(), MVAR, 0.2, 0.8)
    (exact,) = torch.autograd.grad(value, logits)

    draw = torch.Generator().manual_seed(0)
    arms = torch.multinomial(logits.detach().softmax(0), 100_000, replacement=True, generator=draw)
    paid = (torch.rand(100_000, generator=draw, dtype=torch.double) > chances[arms, 0]).long()
    scores = rewards[arms, paid][None]
    found = advantage(scores)[0]
    score_function = torch.nn.functional.one_hot(arms, 3) - logits.detach().softmax(0)
    sampled = (found[:, None] * score_function).mean(0)
    assert float(torch.cosine_similarity(sampled, exact, dim=0)) > 0.99
    torch.testing.assert_close(sampled, exact, rtol=0.1, atol=0.01)


def test_covariance_of_log_probability_and_credit(make):
    rollouts = make([0.0, 1.0], sampler_logprobs=torch.tensor([[-1.0, -3.0], [-1.0, -1.0]]))
    weights = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    assert logprob_covariance(rollouts, weights) == pytest.approx(2.0)  # deviations -1, 1 and -1, 1; n - 1 = 1
