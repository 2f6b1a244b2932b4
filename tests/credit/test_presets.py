"""Each named credit by hand on rollouts, the ties between them, and what a configuration can say of them."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.credit.base import Credit
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.lite_ppo import LitePPO
from pilothouse.credit.normalized import Normalized
from pilothouse.credit.rloo import RLOO

HAND, PAIR = [1.0, 0, 0, 0, 1, 1, 1, 0], [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("credit", "first"),
    [
        (GRPO(eps=0.0), 1.5),
        (GRPO(), 0.75 / 0.5001),
        (LitePPO(eps=0.0), 1.403122),
        (DrGRPO(), 0.75),
        (RLOO(), 1.0),
        (Normalized(mean="batch", eps=0.0), 0.935414),
        (Normalized(mean="none", std="none"), 1.0),
    ],
)
def test_weight_of_the_first_episode(make, credit, first):
    weights = credit(make(HAND, PAIR, [[1, 0]] * 8))
    assert weights[0].tolist() == [pytest.approx(first, abs=1e-6), 0.0]


def test_grpo_is_lite_ppo_when_there_is_one_group(make):
    rollouts = make([0.3, 0.9, 0.1, 0.4])
    torch.testing.assert_close(LitePPO(eps=1e-4)(rollouts), GRPO()(rollouts))


def test_rloo_is_dr_grpo_times_g_over_g_minus_1(make):
    rollouts = make([0.3, 0.9, 0.1, 0.4, 5.0, 7.0], [0, 0, 0, 0, 1, 1])
    factor = torch.tensor([4 / 3] * 4 + [2.0] * 2)[:, None]
    torch.testing.assert_close(RLOO()(rollouts), factor * DrGRPO()(rollouts))


def test_sums_are_linear_and_scale(make):
    rollouts, grpo, rloo = make(HAND, PAIR), GRPO(), RLOO()
    wanted = 0.5 * grpo(rollouts) - 2.0 * rloo(rollouts)
    torch.testing.assert_close((0.5 * grpo + -2.0 * rloo)(rollouts), wanted)
    torch.testing.assert_close((-2.0 * rloo + 0.5 * grpo)(rollouts), wanted)
    torch.testing.assert_close(Credit.build("0.5*grpo + -2*rloo")(rollouts), wanted)
    torch.testing.assert_close((2.0 * (0.25 * grpo + -1.0 * rloo))(rollouts), wanted)


@pytest.mark.parametrize(
    ("spec", "relative"),
    [
        ("grpo", True),
        ("dr-grpo", True),
        ("rloo", True),
        ("lite-ppo", True),
        ("reinforce-pp", False),
        ("gae", False),
        ({"name": "normalized", "mean": "batch", "std": "batch"}, False),
        ({"name": "normalized", "mean": "batch", "std": "group"}, True),
        ({"name": "whitened", "of": "rloo"}, True),
        ({"name": "whitened", "of": "gae"}, False),
        ("0.5*grpo + 0.5*gae", False),
    ],
)
def test_which_credits_need_a_group(spec, relative):
    assert Credit.build(spec).compares_within_groups() is relative


def test_running_statistics_travel_through_a_checkpoint(make):
    spec = {"name": "normalized", "mean": "running", "std": "running", "eps": 0.0}
    first, second = Credit.build(spec), Credit.build({"name": "whitened", "of": spec})
    weights = first(make([0.0, 2.0, float("nan")]))
    torch.testing.assert_close(weights[:, 0], torch.tensor([-1.0, 1.0, 0.0]) / 2**0.5)
    assert first.state_dict() == {"count": 2, "mean": 1.0, "squares": 2.0}
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()
    third = Credit.build(spec)
    third.load_state_dict(first.state_dict())
    torch.testing.assert_close(third(make([4.0])), first(make([4.0])))
    assert GRPO().state_dict() == {}


def test_a_wrong_setting_is_one_sentence():
    with pytest.raises(ConfigError, match="setting 'mean' in credit 'grpo' is 'median'"):
        Credit.build({"name": "grpo", "mean": "median"})
