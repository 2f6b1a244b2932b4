"""Budget rewards and hierarchical credit: worked values, the shape of the reward, and what it falls back to."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.budget_reward import BudgetReward, budget_cap, budget_reward
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.hierarchical import Hierarchical, hierarchical_advantage, shortfall
from pilothouse.credit.normalize import normalize_advantage

NAN = float("nan")
PAPER = torch.tensor([512.0, 1024.0, 2048.0, 2560.0])
INNER = GRPO(eps=1e-6)


def reward(length, budgets, limit, correct=True, **fields):
    budget = torch.tensor(budgets, dtype=torch.float32)
    right, size = torch.full((len(budgets),), correct), torch.full((len(budgets),), length)
    return budget_reward(right, size, budget, limit, 1 / limit, **fields).tolist()


def near(*values):
    return pytest.approx(list(values), abs=2e-4)


def test_cap_by_hand():
    assert budget_cap(PAPER, 4096).tolist() == near(3.9231, 3.6955, 2.8284, 2.2223)


@pytest.mark.parametrize(
    ("length", "values"),
    [
        (1500, (3.1150, 3.2400, 2.8284, 2.2223)),
        (256, (3.9182, 3.6955, 2.8284, 2.2223)),
        (2560, (1.7223, 1.8473, 2.0973, 2.2223)),
        (4000, (-0.7043, -0.5793, -0.3293, -0.2043)),
        (4097, (0.0, 0.0, 0.0, 0.0)),
    ],
)
def test_reward_by_hand(length, values):
    assert reward(length, PAPER.tolist(), 4096) == near(*values)


def test_the_shape_is_the_same_at_another_limit():
    assert reward(20, [8.0, 16.0, 32.0, 40.0], 64) == near(3.3402, 3.4652, 2.8284, 2.2223)


def test_reward_never_falls_inside_the_budget_and_always_beyond():
    length = torch.arange(0, 4097)
    for budget in PAPER.tolist():
        worth = budget_reward(length >= 0, length, torch.full((4097,), budget), 4096, 1 / 4096)
        steps, inside = worth.diff(), length[1:] <= budget
        assert (steps[inside] >= -1e-6).all()
        assert (steps[~inside] < 0).all()


def test_wrong_malformed_and_unannounced():
    assert reward(100, PAPER.tolist(), 4096, correct=False) == [0.0] * 4
    form = torch.tensor([True, False, True, False])
    assert reward(100, PAPER.tolist(), 4096, well_formed=form)[1::2] == [-1.0, -1.0]
    assert reward(2048, [NAN], 4096) == near(2.8284)


BUDGETS = PAPER.repeat_interleave(2)
REWARDS = torch.tensor([3.9231, 0, 3.6955, 3.6955, 2.8284, 2.8284, 0, 2.2223])
ONE = torch.zeros(8, dtype=torch.long)
BEST = budget_cap(BUDGETS, 4096)


def test_advantage_by_hand():
    inter = normalize_advantage(REWARDS, ONE)
    assert inter.tolist() == near(0.9612, -1.5132, 0.8177, 0.8177, 0.2707, 0.2707, -1.5132, -0.1115)
    intra = shortfall(REWARDS, ONE, BUDGETS, BEST)
    assert intra.tolist() == near(-1.9616, -1.9616, 0, 0, 0, 0, -1.1111, -1.1111)
    total = hierarchical_advantage(REWARDS, ONE, BUDGETS, BEST)
    assert total.tolist() == near(-1.0004, -3.4748, 0.8176, 0.8176, 0.2707, 0.2707, -2.6244, -1.2227)
    assert torch.equal(hierarchical_advantage(REWARDS, ONE, BUDGETS, BEST, w_intra=0.0), inter)


def test_one_subgroup_of_verdicts_is_grpo_plus_accuracy():
    verdicts = torch.tensor([1.0, 0.0, 1.0, 1.0])
    group, budget = torch.zeros(4).long(), torch.full((4,), 9.0)
    found = hierarchical_advantage(verdicts, group, budget, torch.ones(4))
    torch.testing.assert_close(found, normalize_advantage(verdicts, group) + (0.75 - 1))


def test_all_wrong_and_all_right():
    wrong = hierarchical_advantage(torch.zeros(8), ONE, BUDGETS, BEST, w_intra=2.0)
    torch.testing.assert_close(wrong, -2 * BEST)
    right = hierarchical_advantage(BEST, ONE, BUDGETS, BEST)
    torch.testing.assert_close(right, normalize_advantage(BEST, ONE))
    alone = hierarchical_advantage(torch.tensor([3.0]), ONE[:1], BUDGETS[:1], BEST[:1])
    assert alone.tolist() == [0.0]


def rollouts(lengths, verdicts, budgets, groups=None) -> Rollouts:
    episodes = [
        Episode(
            (9,),
            (1,) * n,
            (False, *(True,) * (n - 1)),
            (-1.0,) * n,
            tags=() if b is None else (f"budget={b}",),
            score=Score(v, parts={"format": 1.0}) if v is not None else Score.failed("broken"),
        )
        for n, v, b in zip(lengths, verdicts, budgets, strict=True)
    ]
    return Rollouts.from_episodes(episodes, groups or [0] * len(lengths), max_length=64)


def test_the_part_reads_budgets_from_the_episodes():
    batch = rollouts([20, 30, 20, 10], [1.0, 0.0, 1.0, None], [8, 8, 32, 32])
    budget = torch.tensor([8.0, 8.0, 32.0, 32.0])
    shaped = budget_reward(batch.rewards >= 0.5, batch.lengths, budget, 64, 1 / 64)
    shaped = torch.where(batch.rewards.isnan(), torch.nan, shaped)
    wanted = hierarchical_advantage(shaped, batch.groups, budget, budget_cap(budget, 64))
    weights = Hierarchical()(batch)
    torch.testing.assert_close(weights[:3, 5], wanted[:3])
    assert not weights[3].any()
    assert not weights[:, 0].any()  # the announcement was no choice
    twice = Hierarchical(w_intra=2.0)(batch)[:3, 5] - Hierarchical(w_intra=0.0)(batch)[:3, 5]
    torch.testing.assert_close(twice, 2 * shortfall(shaped, batch.groups, budget, budget_cap(budget, 64))[:3])


def test_without_budgets_shorter_is_better_and_nothing_more():
    batch = rollouts([20, 30, 40], [1.0, 0.0, 1.0], [None] * 3)
    cosine = BudgetReward(of=INNER)(batch)
    torch.testing.assert_close(Hierarchical()(batch), cosine)
    assert BudgetReward().before(batch).rewards.tolist() == near(3.5277, 0.0, 2.2223)
    assert cosine[0, 5] > cosine[2, 5] > 0 > cosine[1, 5]


def test_settings_travel():
    part = Credit.build({"name": "hierarchical", "w_intra": 2.0, "form": "format", "max_length": 40})
    batch = rollouts([20, 30, 41], [1.0, 0.0, 1.0], [8, 8, 8])
    bad = batch.replace(reward_parts={"format": torch.tensor([1.0, 0.0, 1.0])})
    assert part.before(bad).rewards[1:].tolist() == [-1.0, 0.0]
    assert part.before(batch).rewards[1] == 0.0
