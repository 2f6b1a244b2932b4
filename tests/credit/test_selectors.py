"""Which episodes train, and what that does to credit and loss."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.credit.base import Select
from pilothouse.credit.difficulty_band import DifficultyBand
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.overlong import Overlong
from pilothouse.credit.zero_variance import ZeroVariance
from pilothouse.objectives.base import Batch, Totals
from pilothouse.objectives.clipped import Clipped

NAN = float("nan")


def trained(rollouts) -> list[bool]:
    return rollouts.train_mask.any(dim=1).tolist()


def test_zero_variance_is_an_exact_test(make):
    tiny = torch.nextafter(torch.tensor(0.1), torch.tensor(1.0)).item()
    rewards = [0.1, 0.1, 0.1, 0.1, tiny, 0.1, 7.0, 1.0, NAN, 1.0, 0.0, NAN]
    groups = [0, 0, 0, 1, 1, 1, 2, 3, 3, 4, 4, 4]
    after = ZeroVariance()(make(rewards, groups))
    assert trained(after) == [False] * 3 + [True] * 3 + [False] * 3 + [True, True, False]
    assert after.stats_mask.sum() == 10


def test_overlong_by_hand(make):
    rollouts = make([1.0, 0.0, 0.0], truncated=torch.tensor([False, False, True]))
    kept, left_out = Overlong()(rollouts), Overlong(exclude_from_stats=True)(rollouts)
    assert trained(kept) == trained(left_out) == [True, True, False]
    # Its reward still moves the mean, unless it is left out of the statistics.
    assert DrGRPO()(kept)[:, 0].tolist() == pytest.approx([2 / 3, -1 / 3, 0.0])
    assert DrGRPO()(left_out)[:, 0].tolist() == pytest.approx([0.5, -0.5, 0.0])


@pytest.mark.parametrize("aggregation", ["token-mean", "sequence-mean", "sequence-sum", "fixed-length"])
def test_a_truncated_response_changes_neither_gradient_nor_denominator(make, aggregation):
    def gradient(rollouts, weights):
        logprobs = torch.full(rollouts.tokens.shape, -1.0, requires_grad=True)
        totals = Totals.of(rollouts.train_mask, max_length=4)
        batch = Batch(logprobs, logprobs.detach() - 0.1, weights, rollouts.train_mask, totals)
        return torch.autograd.grad(Clipped(aggregation=aggregation)(batch)[0], logprobs)[0], totals

    rollouts = make([1.0, 0.0, 0.0], actions=[[1, 1, 0], [1, 1, 1], [1, 1, 1]])
    cut = Overlong()(rollouts.replace(truncated=torch.tensor([False, False, True])))
    weights = DrGRPO()(cut)
    with_it, totals = gradient(cut, weights)
    rows = torch.tensor([0, 1])
    without, fewer = gradient(cut.take(rows), weights[:2])
    assert totals == fewer == Totals(tokens=5, sequences=2, max_length=4)
    torch.testing.assert_close(with_it[:2], without)
    assert not with_it[2].any()


def test_difficulty_band_is_open_and_drops_the_unjudged(make):
    rewards, groups = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0, 0.5, NAN, NAN], [0, 0, 1, 1, 2, 2, 3, 3, 4]
    after = DifficultyBand(lo=0.0, hi=0.5)(make(rewards, groups))
    assert trained(after) == [False] * 9
    after = DifficultyBand()(make(rewards, groups))
    assert trained(after) == [False, False, True, True, False, False, True, False, False]
    with pytest.raises(ConfigError, match=r"lo 0\.9 must be below hi 0\.2"):
        Select.build({"name": "difficulty-band", "lo": 0.9, "hi": 0.2})


def test_a_chain_applies_its_selectors_in_turn(make):
    # Without the truncated response the first group's rewards are equal: the filters meet.
    rollouts = make([1.0, 1.0, 0.0, 1.0, 0.0], [0, 0, 0, 1, 1], truncated=torch.tensor([0, 0, 1, 0, 0]).bool())
    assert trained((Overlong() + ZeroVariance())(rollouts)) == [True, True, False, True, True]
    chain = Select.build(
        {"name": "chain", "parts": [{"name": "overlong", "exclude_from_stats": True}, "zero-variance"]}
    )
    assert trained(chain(rollouts)) == [False, False, False, True, True]
