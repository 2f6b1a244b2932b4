"""Advantages over time by hand, and the limits of gamma and lambda."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError
from pilothouse.credit.gae import GAE, generalized_advantages, token_rewards
from pilothouse.credit.reinforce_pp import ReinforcePP

NAN = float("nan")


def test_three_steps_by_hand(make):
    # gamma 0.9, lambda 0.5, r = (0, 0, 1), V = (0.2, 0.4, 0.6):
    #   delta = (0.9*0.4 - 0.2, 0.9*0.6 - 0.4, 1 - 0.6) = (0.16, 0.14, 0.4)
    #   A_3 = 0.4, A_2 = 0.14 + 0.45*0.4 = 0.32, A_1 = 0.16 + 0.45*0.32 = 0.304
    rollouts = make([1.0], actions=[[1, 1, 1]], values=torch.tensor([[0.2, 0.4, 0.6]]))
    credit = GAE(gamma=0.9, lam=0.5, whiten=False)
    torch.testing.assert_close(credit(rollouts), torch.tensor([[0.304, 0.32, 0.4]]))
    torch.testing.assert_close(credit.returns(rollouts), torch.tensor([[0.504, 0.72, 1.0]]))


def test_tool_text_between_actions_takes_no_time(make):
    plain = make([1.0], actions=[[1, 1, 1]], values=torch.tensor([[0.2, 0.4, 0.6]]))
    gaps = make([1.0], actions=[[0, 1, 0, 0, 1, 1, 0]], values=torch.tensor([[9, 0.2, NAN, 9, 0.4, 0.6, NAN]]))
    credit = GAE(gamma=0.9, lam=0.5, whiten=False)
    found = credit(gaps)
    torch.testing.assert_close(found[:, [1, 4, 5]], credit(plain))
    assert not found[:, [0, 2, 3, 6]].any()


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 9))
def test_limits_of_lambda(seed, width):
    draw = torch.Generator().manual_seed(seed)
    actions = torch.rand(4, width, generator=draw) < 0.7
    rewards, values = torch.randn(2, 4, width, generator=draw, dtype=torch.float64)
    whole = generalized_advantages(rewards, actions, 1.0, 1.0, values)
    to_go = (rewards * actions).flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(whole * actions, (to_go - values) * actions)
    torch.testing.assert_close(generalized_advantages(rewards, actions, 1.0, 1.0) * actions, to_go * actions)
    one_step = generalized_advantages(rewards, actions, 0.0, 0.9, values)
    torch.testing.assert_close(one_step * actions, (rewards - values) * actions)


def test_a_perfect_value_function_leaves_no_advantage(make):
    values = torch.full((2, 4), 0.5)
    credit = GAE(gamma=1.0, lam=0.3, whiten=False)
    assert not credit(make([0.5, 0.5], actions=[[1] * 4] * 2, values=values)).any()


def test_masked_tokens_still_take_time(make):
    values = torch.tensor([[0.2, 0.4, 0.6]])
    masked = make([1.0], actions=[[1, 1, 1]], values=values, train_mask=torch.tensor([[True, False, True]]))
    found = GAE(gamma=0.9, lam=0.5, whiten=False)(masked)
    torch.testing.assert_close(found, torch.tensor([[0.304, 0.0, 0.4]]))


def test_whitening_is_over_the_trained_tokens_that_count(make):
    values = torch.tensor([[0.0, 1.0, 0.0], [3.0, 0.0, 0.0], [7.0, 7.0, 7.0]])
    rollouts = make([1.0, 2.0, 9.0], actions=[[1, 1, 0], [1, 1, 1], [1, 1, 1]], values=values)
    rollouts = rollouts.replace(stats_mask=torch.tensor([True, True, False]))
    weights, raw = GAE()(rollouts), GAE(whiten=False)(rollouts)
    counted = rollouts.train_mask & rollouts.stats_mask[:, None]
    assert weights[counted].mean().item() == pytest.approx(0.0, abs=1e-6)
    assert weights[counted].std(correction=0).item() == pytest.approx(1.0, abs=1e-6)
    scale = raw[counted].std(correction=0)
    torch.testing.assert_close(weights[2], (raw[2] - raw[counted].mean()) / scale)


def test_reward_sits_on_the_last_action_and_the_penalty_on_each(make):
    old, ref = torch.tensor([[-1.0, NAN, -2.0, 5.0]]), torch.tensor([[-1.5, NAN, -1.0, 7.0]])
    rollouts = make([2.0], actions=[[1, 0, 1, 0]], old_logprobs=old, ref_logprobs=ref)
    torch.testing.assert_close(token_rewards(rollouts), torch.tensor([[0.0, 0, 2, 0]]))
    torch.testing.assert_close(token_rewards(rollouts, 0.1), torch.tensor([[-0.05, 0, 2.1, 0]]))


def test_reinforce_pp_by_hand(make):
    # One token of reward 1, two of reward 0 and one of reward 1 -> mean 1/2, population std 1/2 over four tokens.
    rollouts = make([1.0, 0.0, 1.0], actions=[[1, 0], [1, 1], [1, 0]])
    torch.testing.assert_close(ReinforcePP()(rollouts), torch.tensor([[1.0, 0], [-1, -1], [1, 0]]))
    # With gamma 1/2 the returns are (1), (0, 0), and (1/2, 1) when the third has a second token.
    longer = make([1.0, 0.0, 1.0], actions=[[1, 0], [1, 1], [1, 1]])
    to_go = torch.tensor([1.0, 0.0, 0.0, 0.5, 1.0])
    wanted = (to_go - 0.5) / to_go.std(correction=0)
    torch.testing.assert_close(ReinforcePP(gamma=0.5)(longer)[longer.action_mask], wanted)


def test_reinforce_pp_penalty_accumulates_to_go(make):
    old, ref = torch.zeros(1, 3), torch.tensor([[-1.0, -2.0, -3.0]])
    rollouts = make([10.0], actions=[[1, 1, 1]], old_logprobs=old, ref_logprobs=ref)
    to_go = torch.tensor([[4.0, 5.0, 7.0]])
    wanted = (to_go - to_go.mean()) / to_go.std(correction=0)
    torch.testing.assert_close(ReinforcePP(kl_coef=1.0)(rollouts), wanted)


def test_what_they_need_is_said_and_asked_for(make):
    assert GAE().requirements() == {"values"}
    assert GAE(kl_coef=0.1).requirements() == {"values", "old_logprobs", "ref_logprobs"}
    assert ReinforcePP().requirements() == frozenset()
    with pytest.raises(ConfigError, match="needs values"):
        GAE()(make([1.0]))
    with pytest.raises(ConfigError, match="set kl_coef to 0"):
        ReinforcePP(kl_coef=0.1)(make([1.0]))
