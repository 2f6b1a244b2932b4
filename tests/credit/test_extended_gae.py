"""Advantages of responses that were cut, by hand: the three things the state after the last token may be worth."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.credit.gae import GAE, generalized_advantages, held_values

CUT, ENDED = torch.tensor([True]), torch.tensor([False])


def one(make, values, reward=0.0, **fields):
    """A response of plain actions with these values."""
    return make([reward], actions=[[1] * len(values)], values=torch.tensor([values]), **fields)


def test_a_cut_response_holds_its_last_value(make):
    # delta = (0.6 - 0.5, 0.4 - 0.6, V(s_3) - 0.4 with V(s_3) = V(s_2) = 0.4) = (0.1, -0.2, 0)
    rollouts = one(make, [0.5, 0.6, 0.4], unfinished=CUT)
    found = GAE(lam=0.5, whiten=False)(rollouts)
    torch.testing.assert_close(found, torch.tensor([[0.0, -0.2, 0.0]]))
    step = GAE(lam=0.0, whiten=False)(rollouts)
    torch.testing.assert_close(step, torch.tensor([[0.1, -0.2, 0.0]]))


def test_an_ended_response_has_ordinary_advantages(make):
    rollouts = one(make, [0.5, 0.6, 0.4], reward=1.0, unfinished=ENDED)
    torch.testing.assert_close(GAE(lam=0.5, whiten=False)(rollouts), torch.tensor([[0.15, 0.1, 0.6]]))
    torch.testing.assert_close(GAE(lam=0.0, whiten=False)(rollouts), torch.tensor([[0.1, -0.2, 0.6]]))


def test_lambda_one(make):
    credit = GAE(lam=1.0, whiten=False)
    ended = credit(one(make, [0.5, 0.6, 0.4], reward=1.0, unfinished=ENDED))
    torch.testing.assert_close(ended, torch.tensor([[0.5, 0.4, 0.6]]))
    cut = credit(one(make, [0.5, 0.6, 0.4], unfinished=CUT))
    torch.testing.assert_close(cut, torch.tensor([[-0.1, -0.2, 0.0]]))


def test_discount_below_one(make):
    # delta = (0.9*0.6 - 0.5, 0.9*0.4 - 0.6, 0.9*0.4 - 0.4) = (0.04, -0.24, -0.04)
    found = GAE(gamma=0.9, lam=1.0, whiten=False)(one(make, [0.5, 0.6, 0.4], unfinished=CUT))
    torch.testing.assert_close(found, torch.tensor([[-0.2084, -0.276, -0.04]]))


def test_a_cut_can_be_bootstrapped_instead(make):
    # V(s_3) = 0.7: delta_2 = 0.7 - 0.4 = 0.3, A = (0.1 - 0.2/2 + 0.3/4, -0.2 + 0.3/2, 0.3)
    rollouts = one(make, [0.5, 0.6, 0.4], unfinished=CUT, final_values=torch.tensor([0.7]))
    credit = GAE(lam=0.5, whiten=False, cut="bootstrap")
    torch.testing.assert_close(credit(rollouts), torch.tensor([[0.075, -0.05, 0.3]]))
    assert "final_values" in credit.requirements()
    with pytest.raises(ConfigError, match="cut='hold'"):
        credit(rollouts.replace(final_values=None))
    ended = rollouts.replace(unfinished=ENDED)  # after an end nothing is left, whatever the network says
    torch.testing.assert_close(credit(ended), GAE(lam=0.5, whiten=False)(ended))


def test_constant_values_leave_a_cut_response_without_advantage(make):
    credit = GAE(lam=0.7, whiten=False)
    assert not credit(one(make, [0.3] * 5, unfinished=CUT)).any()
    ended = credit(one(make, [0.3] * 5, reward=1.0))
    torch.testing.assert_close(ended, 0.7 * 0.7 ** torch.tensor([[4.0, 3, 2, 1, 0]]))


def test_rows_end_each_in_its_own_way(make):
    values = torch.tensor([[0.5, 0.6, 0.4], [0.5, 0.6, 0.4], [0.5, 0.6, 9.0]])
    rollouts = make([0.0, 1.0, 0.0], actions=[[1, 1, 1], [1, 1, 1], [1, 1, 0]], values=values)
    rollouts = rollouts.replace(unfinished=torch.tensor([True, False, True]))
    found = GAE(lam=0.5, whiten=False)(rollouts)
    wanted = torch.tensor([[0.0, -0.2, 0.0], [0.15, 0.1, 0.6], [0.1, 0.0, 0.0]])
    torch.testing.assert_close(found, wanted)


def test_held_values_are_those_of_the_last_action():
    values = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
    actions = torch.tensor([[True, True, False], [True, False, True], [False, False, False]])
    assert held_values(values, actions).tolist() == [2.0, 6.0, 0.0]


def test_holding_is_bootstrapping_from_the_state_before():
    draw = torch.Generator().manual_seed(0)
    values = torch.rand(4, 6, generator=draw)
    actions = torch.ones(4, 6, dtype=torch.bool)
    held = generalized_advantages(torch.zeros(4, 6), actions, 0.9, 0.8, values, values[:, -1])
    longer = torch.cat([values, values[:, -1:]], dim=1)
    delta = 0.9 * longer[:, 1:] - values
    wanted = [sum(0.72**k * delta[:, t + k] for k in range(6 - t)) for t in range(6)]
    torch.testing.assert_close(held, torch.stack(wanted, dim=1))


def test_whitening_counts_the_tokens_of_cut_responses(make):
    values = torch.tensor([[0.5, 0.9, 0.1], [0.5, 0.6, 0.4]])
    rollouts = make([0.0, 1.0], actions=[[1, 1, 1]] * 2, values=values, unfinished=torch.tensor([True, False]))
    rollouts = rollouts.replace(stats_mask=torch.tensor([False, True]))
    weights = GAE()(rollouts)
    assert float(weights.mean()) == pytest.approx(0.0, abs=1e-6)
    assert float(weights.std(correction=0)) == pytest.approx(1.0, abs=1e-6)


def test_targets_may_look_further_than_advantages(make):
    rollouts = one(make, [0.2, 0.4, 0.6], reward=1.0)
    torch.testing.assert_close(GAE(lam=0.5, value_lam=1.0).returns(rollouts), torch.ones(1, 3))
    torch.testing.assert_close(GAE(lam=0.5, value_lam=0.0).returns(rollouts), torch.tensor([[0.4, 0.6, 1.0]]))
    assert GAE(lam=0.5).returns(rollouts).equal(GAE(lam=0.5, value_lam=0.5).returns(rollouts))
