"""Outlier truncation and predictive sampling: worked values, the limit of z, what a verdict does, resuming."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.episodes import Episode
from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.normalize import moments
from pilothouse.credit.outlier_truncation import OutlierTruncation, largest_z, outlier_truncation
from pilothouse.credit.predictive_sampling import PredictiveSampling, oversampling_factor
from pilothouse.credit.zero_variance import ZeroVariance

EXACT = GRPO(eps=1e-6)


def rollouts(lengths: list[int], rewards: list[float] | None = None, groups: list[int] | None = None) -> Rollouts:
    """Right answers of given lengths, token i of each being i + 1."""
    rewards = rewards or [1.0] * len(lengths)
    episodes = [
        Episode((9,), tuple(range(1, n + 1)), (True,) * n, (-1.0,) * n, "x" * n, score=Score(r, r == 1.0, {"right": r}))
        for n, r in zip(lengths, rewards, strict=True)
    ]
    return Rollouts.from_episodes(episodes, groups or [0] * len(lengths))


def wrong(responses):
    return [Score(0.0, False, {"right": 0.0}) for _ in responses]


def right(responses):
    return [Score(1.0, True, {"right": 1.0}) for _ in responses]


def test_largest_z_by_hand():
    for size, z in ((8, 2.475), (10, 2.846), (11, 3.015), (16, 3.75), (32, 5.480)):
        assert largest_z(size) == pytest.approx(z, abs=1e-3)
        lengths = torch.tensor([1.0] * (size - 1) + [100.0])
        assert float((lengths[-1] - lengths.mean()) / lengths.std()) == pytest.approx(z, abs=1e-3)


@settings(deadline=None, max_examples=100)
@given(lengths=st.lists(st.integers(1, 5000), min_size=1, max_size=10), margin=st.sampled_from([0.0, 1.0, 0.01]))
def test_groups_of_ten_or_fewer_are_never_cut_at_three(lengths, margin):
    count = len(lengths)
    cut = outlier_truncation(torch.zeros(count).long(), torch.tensor(lengths), torch.ones(count), margin=margin)
    assert not cut.truncated.any()


def test_one_freak_among_thirty_two():
    batch = rollouts([100] * 31 + [400])
    length = moments(batch.lengths.double(), batch.groups, torch.ones(32).bool())
    assert (float(length.mean[0]), float(length.std[0])) == pytest.approx((109.375, 53.033), abs=1e-3)
    asked = []

    def judge(responses):
        asked.extend(responses)
        return wrong(responses)

    part = OutlierTruncation()
    after = part.revise(batch, judge)
    assert after.lengths.tolist() == [100] * 31 + [268]
    assert asked == [(31, tuple(range(1, 269)))]
    advantages = EXACT(after)
    assert advantages[0, 0] == pytest.approx(0.1768, abs=1e-4)
    assert advantages[31, 0] == pytest.approx(-5.480, abs=1e-3)
    assert int(after.train_mask[31].sum()) == int(after.action_mask[31].sum()) == 268
    assert not advantages[31, 268:].any()
    assert not after.tokens[31, 268:].any()
    assert after.episodes[31].score == Score(0.0, False, {"right": 0.0})
    assert len(after.episodes[31].tokens) == 268
    assert after.reward_parts["right"].tolist() == [1.0] * 31 + [0.0]
    assert part.figures() == {
        "solved_groups": 1.0,
        "cut_responses": 1 / 32,
        "cut_tokens": 132.0,
        "cut_spared": 0.0,
        "cut_broken": 1.0,
    }


def test_sixteen_and_the_margin():
    batch = rollouts([10] * 15 + [60])
    for margin, length in ((10, 50), (11, 60), (0.1, 60)):  # a share is never fewer than 16 tokens
        after = OutlierTruncation(margin=margin).revise(batch, wrong)
        assert int(after.lengths[15]) == length
    advantages = EXACT(OutlierTruncation(margin=10).revise(batch, wrong))
    assert advantages[0, 0] == pytest.approx(0.25, abs=1e-5)
    assert advantages[15, 0] == pytest.approx(-3.75, abs=1e-4)


def test_too_little_over_the_limit_changes_nothing():
    batch = rollouts([20] * 11 + [48])
    part = OutlierTruncation()
    after = part.revise(batch, wrong)
    assert torch.equal(after.tokens, batch.tokens)
    assert part.figures()["cut_spared"] == pytest.approx(1 / 12)
    assert not ZeroVariance()(after).train_mask.any()
    assert int(OutlierTruncation(margin=2).revise(batch, wrong).lengths[11]) == 46


def test_a_group_with_a_wrong_answer_is_plain_grpo():
    batch = rollouts([100] * 31 + [400], [0.0] + [1.0] * 31)
    after = OutlierTruncation().revise(batch, wrong)
    assert torch.equal(EXACT(after), EXACT(batch))
    assert torch.equal(after.lengths, batch.lengths)


def test_an_answer_that_survives_the_cut_leaves_no_gradient():
    part = OutlierTruncation()
    after = part.revise(rollouts([100] * 31 + [400]), right)
    assert after.rewards.tolist() == [1.0] * 32
    assert not ZeroVariance()(after).train_mask.any()
    assert part.figures()["cut_broken"] == 0.0


def test_a_verifier_that_fails_on_the_rest_is_not_a_zero():
    after = OutlierTruncation().revise(rollouts([100] * 31 + [400]), lambda r: [Score.failed("broken") for _ in r])
    assert after.rewards[31].isnan()
    assert not after.train_mask[31].any()
    assert not after.stats_mask[31]


def test_other_rewards_must_be_explained():
    batch = rollouts([100] * 31 + [400], [2.0] * 32)
    with pytest.raises(ConfigError, match=r"give --select\.success_value"):
        OutlierTruncation().revise(batch, wrong)
    assert int(OutlierTruncation(success_value=2.0).revise(batch, wrong).lengths[31]) == 268


def test_groups_are_judged_apart():
    batch = rollouts([100] * 15 + [300] + [100] * 15 + [300], [1.0] * 31 + [0.0], [5] * 16 + [3] * 16)
    after = OutlierTruncation().revise(batch, wrong)
    assert after.lengths[15] < 300
    assert after.lengths[31] == 300


@pytest.mark.parametrize(
    ("shares", "factor"),
    [([0.5, 0.25], 3.0), ([0.9], 1.2), ([0.8] * 3, 1.25), ([0.1], 5.0), ([0.0, 0.0], 5.0), ([], 1.5)],
)
def test_oversampling_by_hand(shares, factor):
    assert oversampling_factor(shares) == pytest.approx(factor)


def test_predictive_sampling_fills_the_batch_and_forgets_what_is_old(make):
    part = PredictiveSampling(window=2)
    assert part.prompts(4) == 6
    rewards = [1.0, 0.0] * 5 + [1.0, 1.0]
    groups = [5, 5, 1, 1, 2, 2, 0, 0, 4, 4, 3, 3]
    after = part(ZeroVariance()(make(rewards, groups)))
    assert sorted(set(after.groups[after.train_mask.any(dim=1)].tolist())) == [0, 1, 2, 4]
    assert part.figures() == {"oversampling": 1.5, "kept_groups": 5 / 6}
    assert part.factor() == pytest.approx(1.2)
    for _ in range(2):
        part(ZeroVariance()(make([1.0, 1.0], [0, 0])))
    assert part.state_dict() == {"shares": [0.0, 0.0]}
    assert part.prompts(4) == 20


def test_predictive_sampling_goes_on_after_a_resume(make):
    part = PredictiveSampling()
    part(ZeroVariance()(make([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 1])))
    resumed = PredictiveSampling()
    resumed.load_state_dict(part.state_dict())
    assert resumed.prompts(10) == part.prompts(10) == 20
    chain = ZeroVariance() + PredictiveSampling()
    chain(make([1.0, 0.0, 1.0, 1.0], [0, 0, 1, 1]))
    again = ZeroVariance() + PredictiveSampling()
    again.load_state_dict(chain.state_dict())
    assert again.prompts(10) == 20


def test_bounds_that_cross_are_refused():
    with pytest.raises(ConfigError, match=r"low 4\.0 must not be above high 3\.0"):
        Select.build({"name": "predictive-sampling", "low": 4.0, "high": 3.0})
