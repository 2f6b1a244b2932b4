"""Credits around a credit."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.credit.base import Credit
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.gae import GAE
from pilothouse.credit.lite_ppo import LitePPO
from pilothouse.credit.modifier import RewardClip, WeightClip
from pilothouse.credit.normalized import Normalized
from pilothouse.credit.rloo import RLOO
from pilothouse.credit.soft_overlong import SoftOverlong, soft_overlong
from pilothouse.credit.whitened import Whitened


def test_soft_overlong_by_hand():
    found = soft_overlong(torch.tensor([0, 12, 13, 14, 16, 17]), max_length=16, buffer=4)
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, -0.25, -0.5, -1.0, -1.0]))


def test_the_inner_credit_sees_the_punished_rewards(make):
    rollouts = make([1.0, 1.0], lengths=torch.tensor([10, 16]))
    credit = SoftOverlong(of=DrGRPO(), max_length=16, buffer=4, weight=0.5)
    assert credit(rollouts)[:, 0].tolist() == pytest.approx([0.25, -0.25])
    assert rollouts.rewards.tolist() == [1.0, 1.0]


def test_the_limit_is_the_samplers_and_the_buffer_a_fifth_of_it_unless_set(make):
    rollouts, raw = make([1.0, 1.0], lengths=torch.tensor([8, 9]), max_length=10), Normalized(mean="none", std="none")
    assert SoftOverlong(of=raw)(rollouts)[:, 0].tolist() == pytest.approx([1.0, 0.5])
    assert SoftOverlong(of=raw, buffer=4)(rollouts)[:, 0].tolist() == pytest.approx([0.5, 0.25])
    assert SoftOverlong(of=raw, max_length=100)(rollouts)[:, 0].tolist() == [1.0, 1.0]


def test_clips_by_hand(make):
    rollouts = make([-3.0, 0.5, 9.0])
    raw = Normalized(mean="none", std="none")
    assert RewardClip(of=raw, low=-1, high=1)(rollouts)[:, 0].tolist() == [-1.0, 0.5, 1.0]
    assert WeightClip(of=raw, limit=2)(rollouts)[:, 0].tolist() == [-2.0, 0.5, 2.0]
    with pytest.raises(ConfigError, match="must be below"):
        Credit.build({"name": "reward-clip", "low": 1, "high": 1})


def test_whitening_undoes_the_scale_of_lite_ppo(make):
    rollouts = make([1.0, 0, 0, 0, 1, 1, 1, 0], [0] * 4 + [1] * 4)
    torch.testing.assert_close(Whitened(of=LitePPO())(rollouts), Whitened(of=DrGRPO())(rollouts))


def test_whitening_takes_its_statistics_from_the_episodes_that_count(make):
    rollouts = make([1.0, 3.0, 9.0], stats_mask=torch.tensor([True, True, False]))
    found = Whitened(of=Normalized(mean="none", std="none"))(rollouts)
    assert found[:, 0].tolist() == pytest.approx([-1.0, 1.0, 7.0])


def test_modifiers_nest_and_pass_on_what_the_inner_credit_says(make):
    credit = Credit.build({"name": "weight-clip", "limit": 1, "of": {"name": "whitened", "of": "0.5*gae + 0.5*rloo"}})
    assert credit.requirements() == {"values"}
    assert not credit.compares_within_groups()
    rollouts = make([1.0, 0.0], values=torch.zeros(2, 2))
    torch.testing.assert_close(credit.returns(rollouts), GAE().returns(rollouts))
    assert Whitened(of=RLOO()).returns(rollouts) is None
    assert Credit.build(credit.model_dump(mode="json")) == credit
