"""Group weights by hand: what favours a prompt, what an empty set means, and that nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pilothouse.core.episodes import Episode
from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.adora import ADORA, ADORAAmplify, ADORALogic
from pilothouse.credit.base import Credit
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.group_weight import Criterion, DifficultyAdvantage, GroupWeighted, LengthAdvantage
from pilothouse.credit.grpo import GRPO
from pilothouse.methods.base import find_method
from pilothouse.training.config import resolve

RAW = GRPO(eps=0.0)


@pytest.fixture
def group(make):
    """Attempts at one prompt, or several, by reward and length."""

    def build(rewards: list[float], lengths: list[int], groups: list[int] | None = None, **fields: Any) -> Rollouts:
        return make(rewards, groups, lengths=torch.tensor(lengths), **fields)

    return build


def weight(credit: GroupWeighted, rollouts: Rollouts) -> float:
    """The first group's weight, read off a credit that is 1 everywhere."""
    ones = torch.ones(rollouts.tokens.shape)
    return float(credit.after(ones, rollouts)[0, 0])


def test_a_longer_right_answer_keeps_the_advantages(group):
    rollouts = group([1.0, 0, 1, 0], [10, 20, 30, 24])  # 30 against a mean of 22
    assert ADORA(of=RAW)(rollouts)[:, 0].tolist() == pytest.approx([0.8660, -0.8660, 0.8660, -0.8660], abs=1e-4)


def test_a_shorter_one_damps_them(group):
    rollouts = group([1.0, 0, 1, 0], [10, 20, 15, 24])  # 15 against 22
    assert ADORA(of=RAW)(rollouts)[:, 0].tolist() == pytest.approx([0.0866, -0.0866, 0.0866, -0.0866], abs=1e-4)


def test_a_tie_is_no_advantage(group):
    assert weight(ADORA(), group([1.0, 0], [20, 20])) == pytest.approx(0.1)


def test_truncated_wrong_answers_say_nothing_of_length(group):
    rewards, lengths = [1.0, 0, 0], [15, 10, 4096]
    cut = torch.tensor([False, False, True])
    assert weight(ADORA(), group(rewards, lengths, truncated=cut)) == 1
    assert weight(ADORA(criterion=LengthAdvantage(length_cap=4094)), group(rewards, lengths)) == 1
    assert weight(ADORA(), group(rewards, lengths)) == pytest.approx(0.1)
    heeded = LengthAdvantage(skip_truncated=False)
    assert weight(ADORA(criterion=heeded), group(rewards, lengths, truncated=cut)) == pytest.approx(0.1)


def test_empty_sets_are_those_of_each_released_rule(group):
    wrong, right = group([0.0, 0], [5, 9]), group([1.0, 1], [5, 9])
    assert weight(ADORA(), wrong) == 1
    assert weight(ADORA(), right) == pytest.approx(0.1)
    assert weight(ADORAAmplify(), wrong) == 1
    graded = group([3.0, 3.0], [5, 9]), group([-1.0, 0.5], [5, 9])
    assert weight(ADORALogic(), graded[1]) == pytest.approx(0.1)
    assert weight(ADORALogic(), graded[0]) == 1
    only_cut = group([0.0, 0], [5, 9], truncated=torch.tensor([True, True]))
    assert weight(ADORA(), only_cut) == 1  # neither set: no right response decides
    # with graded rewards the difference is no longer multiplied by zero
    assert weight(ADORALogic(), graded[1]) * float(RAW(graded[1])[1, 0]) == pytest.approx(0.0707, abs=1e-4)


def test_amplification_needs_length_and_difficulty(group):
    even = group([1.0, 0, 1, 0, 1, 0, 1, 0], [9, 1] * 4)  # half are right, and the longer ones
    assert weight(ADORAAmplify(), even) == 2
    easy = group([1.0, 0, 1, 0, 1, 0, 1, 1], [9, 1] * 4)  # 5 of 8
    assert weight(ADORAAmplify(), easy) == 1
    short = group([1.0, 0, 1, 0, 1, 0, 1, 0], [1, 9] * 4)
    assert weight(ADORAAmplify(), short) == 1
    either = Criterion.build("length-advantage or difficulty-advantage")
    assert weight(ADORAAmplify(criterion=either), easy) == 2


def test_a_criterion_reads_like_a_sentence():
    both = Criterion.build("length-advantage and difficulty-advantage")
    assert [part.name for part in both.parts] == ["length-advantage", "difficulty-advantage"]
    assert both.how == "and"
    assert Criterion.build(both.model_dump(mode="json")) == both
    with pytest.raises(ConfigError, match="did you mean 'length-advantage'"):
        Criterion.build("length-advantag and difficulty-advantage")


def two_groups(make) -> Rollouts:
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 9, (16,), generator=draw)
    rewards = torch.randint(0, 2, (16,), generator=draw).float()
    return make(rewards.tolist(), [7] * 8 + [3] * 8, lengths=lengths)


def test_weights_of_one_are_plain_grpo_bit_for_bit(make):
    rollouts = two_groups(make)
    assert torch.equal(ADORA(other=1.0)(rollouts), GRPO()(rollouts))
    assert torch.equal(ADORAAmplify(favoured=1.0)(rollouts), GRPO()(rollouts))


def test_a_group_has_one_weight_and_its_advantages_still_sum_to_zero(make):
    rollouts = two_groups(make)
    plain, weighted = DrGRPO()(rollouts), ADORA(of=DrGRPO(), criterion=DifficultyAdvantage(tau=0.5))(rollouts)
    for label in (3, 7):
        rows = rollouts.groups == label
        ratios = (weighted[rows] / plain[rows])[plain[rows] != 0]
        assert float(ratios.max() - ratios.min()) < 1e-6
        assert float(weighted[rows].sum()) == pytest.approx(0.0, abs=1e-6)


def test_no_gradient_flows_through_the_weight(group):
    rollouts = group([1.0, 0], [10, 20])
    weights = torch.ones(2, 2, requires_grad=True)
    ADORA().after(weights, rollouts).sum().backward()
    assert weights.grad is not None
    assert weights.grad.tolist() == [[pytest.approx(0.1)] * 2] * 2  # a constant factor


def test_it_acts_in_its_stage_alone(group):
    rollouts = group([1.0, 0, 1, 0], [10, 20, 15, 24])
    credit = ADORA(of=RAW, start=1, end=3)
    found = [float(credit(rollouts)[0, 0]) for _ in range(4)]
    assert found == pytest.approx([0.8660, 0.0866, 0.0866, 0.8660], abs=1e-4)
    with pytest.raises(ConfigError, match="must be after start"):
        Credit.build({"name": "adora", "start": 5, "end": 5})


def episodes(right: list[bool], lengths: list[int], problem: str) -> list[Episode]:
    return [
        Episode((1,), (0,) * n, (True,) * n, (0.0,) * n, problem_id=problem, score=Score(float(r), r))
        for r, n in zip(right, lengths, strict=True)
    ]


def test_stage_classes_and_figures_continue_after_a_resume():
    favoured, not_so = episodes([True, False], [9, 2], "a"), episodes([True, False], [2, 9], "a")
    other = episodes([True, False], [2, 9], "b")
    first, second = (Rollouts.from_episodes([*pair, *other]) for pair in (favoured, not_so))
    credit = ADORA(end=2)
    credit(first)
    assert credit.figures()["group_favoured"] == 0.5
    assert credit.figures()["group_weight"] == pytest.approx(0.55)
    assert "group_flicker" not in credit.figures()
    state = credit.state_dict()
    resumed = ADORA(end=2)
    resumed.load_state_dict(state)
    for part in (credit, resumed):
        assert torch.equal(part(second), 0.1 * GRPO()(second))
        assert part.figures()["group_flicker"] == 0.5
        assert torch.equal(part(second), GRPO()(second))
    assert credit.state_dict() == resumed.state_dict()


def test_what_makes_no_sense_is_refused(make):
    with pytest.raises(DataError, match="no tokens"):
        ADORA()(make([1.0, 0.0], lengths=torch.tensor([0, 3])))
    with pytest.raises(ConfigError, match="other"):
        Credit.build({"name": "adora", "other": -0.1})
    with pytest.raises(ConfigError, match="favoured"):
        Credit.build({"name": "adora", "favoured": float("inf")})
    with pytest.raises(ConfigError, match="the other way round"):
        Credit.build({"name": "whitened", "of": "adora"})
    assert Credit.build({"name": "adora", "of": "whitened"}).scale_matters()
    task = {"task": {"name": "chain-arithmetic"}}
    with pytest.raises(ConfigError, match="compares the episodes of a group"):
        resolve("grpo", find_method("grpo").policy_gradient, task, {"credit": "adora", "program": {"n": 1}})
