"""The four modes by hand."""

from __future__ import annotations

import pytest
import torch

from pilothouse.objectives.aggregate import aggregate, shares
from pilothouse.objectives.base import Totals

LOSS = torch.tensor([[2.0, float("nan"), float("inf")], [1.0, 1.0, 1.0]])
MASK = torch.tensor([[True, False, False], [True, True, True]])
WANTED = {"sequence-mean": 1.5, "token-mean": 1.25, "sequence-sum": 2.5, "fixed-length": 0.625}


@pytest.mark.parametrize(("mode", "wanted"), WANTED.items())
def test_by_hand(mode, wanted):
    assert float(aggregate(LOSS, MASK, mode, Totals.of(MASK, max_length=4))) == pytest.approx(wanted)


@pytest.mark.parametrize("mode", WANTED)
def test_micro_batches_of_unequal_token_counts_add_up(mode):
    totals = Totals.of(MASK, max_length=4)
    parts = [aggregate(LOSS[i : i + 1], MASK[i : i + 1], mode, totals) for i in range(2)]
    assert float(sum(parts)) == pytest.approx(WANTED[mode])


def test_equal_lengths_make_token_mean_and_sequence_mean_agree():
    loss, mask = torch.arange(12.0).reshape(3, 4), torch.ones(3, 4, dtype=torch.bool)
    totals = Totals.of(mask)
    token, sequence = (aggregate(loss, mask, mode, totals) for mode in ("token-mean", "sequence-mean"))
    torch.testing.assert_close(token, sequence)


@pytest.mark.parametrize("mode", WANTED)
def test_nothing_to_train_on_is_a_loss_of_zero(mode):
    mask = torch.zeros_like(MASK)
    assert float(aggregate(LOSS, mask, mode, Totals.of(mask))) == 0.0


def test_shares_are_token_means_of_the_step():
    figures = shares(MASK, Totals(tokens=8, sequences=2, max_length=4), x=LOSS, y=LOSS > 1)
    assert figures == {"x": pytest.approx(5 / 8), "y": pytest.approx(1 / 8)}
