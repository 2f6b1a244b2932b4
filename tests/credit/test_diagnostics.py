"""Figures of a batch by hand, and the advice that follows."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from pilothouse.credit.diagnostics import RewardStats, recommend, reward_stats

CALM = RewardStats(0.5, 0.4, 0.1, 0.0, 10.0, 12.0, 1.0)


def test_figures_by_hand(make):
    rollouts = make(
        [1.0, 0.0, 1.0, 1.0, 1.0, float("nan")],
        [0, 0, 1, 1, 1, 2],
        lengths=torch.tensor([1, 2, 3, 4, 5, 6]),
        truncated=torch.tensor([0, 1, 0, 0, 0, 1]).bool(),
        sampler_logprobs=torch.tensor([[-1.0, -2.0]] * 5 + [[float("nan")] * 2]),
    )
    found = reward_stats(rollouts)
    assert found.mean_reward == pytest.approx(0.8)
    assert found.mean_group_std == pytest.approx(0.5**0.5 / 2)
    assert found.zero_std_groups == pytest.approx(0.5)
    assert found.truncation_rate == pytest.approx(2 / 6)
    assert found.length_correct == pytest.approx((1 + 3 + 4 + 5) / 4)
    assert found.length_wrong == pytest.approx(2.0)
    assert found.entropy == pytest.approx(1.5)


def test_nothing_to_average_is_nan(make):
    found = reward_stats(make([1.0, 1.0]))
    assert math.isnan(found.length_wrong)
    assert found.zero_std_groups == 1.0


def test_each_rule_and_its_takeaway():
    def advice(stats, kind):
        return {item.setting: (item.value, item.takeaway) for item in recommend(stats, kind)}

    assert advice(CALM, "base") == {"credit": ("lite-ppo", 3), "objective.aggregation": ("token-mean", 5)}
    assert advice(replace(CALM, mean_group_std=0.05), "base")["credit"] == ("dr-grpo", 2)
    aligned = advice(CALM, "aligned")
    assert aligned["objective.eps_high"] == (0.28, 4)
    assert aligned["objective.aggregation"] == ("sequence-mean", 5)
    assert "select" not in aligned
    cut = recommend(replace(CALM, truncation_rate=0.2), "aligned")[-1]
    assert (cut.setting, cut.value, cut.takeaway) == ("select", "overlong", 6)
    assert "20%" in cut.reason
