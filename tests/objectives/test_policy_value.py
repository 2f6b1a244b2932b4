"""AlphaMath's loss by hand: what is imitated, what is not, and the value's own denominator."""

from __future__ import annotations

import pytest
import torch

from pilothouse.objectives.base import Batch, Objective, Totals
from pilothouse.objectives.cross_entropy import WeightedCrossEntropy
from pilothouse.objectives.value import StepValueLoss

NAN = float("nan")


def batch(weights: list[list[float]], returns: list[list[float]], values: list[list[float]]) -> Batch:
    wanted, targets = torch.tensor(weights), torch.tensor(returns)
    mask = torch.ones(wanted.shape, dtype=torch.bool)
    logprobs = -torch.arange(1.0, wanted.numel() + 1).reshape(wanted.shape)
    return Batch(
        logprobs.requires_grad_(),
        logprobs.detach(),
        wanted,
        mask,
        Totals.of(mask, None, wanted, targets),
        values_after=torch.tensor(values, requires_grad=True),
        returns=targets,
    )


def test_value_loss_by_hand():
    data = batch([[0.0, 0.0]], [[1.0, -1.0]], [[0.5, 0.2]])
    loss, metrics = StepValueLoss()(data)
    assert loss.item() == pytest.approx(1.69 / 2.001)
    assert loss.item() == pytest.approx(0.84458, abs=1e-5)
    assert metrics == {"step_value_loss": pytest.approx(0.84458, abs=1e-5)}


def test_tokens_without_a_target_do_not_count():
    data = batch([[0.0] * 4], [[NAN, 1.0, NAN, -1.0]], [[9.0, 0.5, 9.0, 0.2]])
    loss, _ = StepValueLoss()(data)
    assert loss.item() == pytest.approx(1.69 / 2.001)
    assert data.values_after is not None
    (gradient,) = torch.autograd.grad(loss, data.values_after)
    assert (gradient != 0).tolist() == [[False, True, False, True]]
    none = batch([[0.0]], [[NAN]], [[0.3]])
    assert StepValueLoss()(none)[0].item() == 0.0


def test_only_what_has_weight_is_imitated():
    data = batch([[1.0, 1.0], [0.0, 0.0]], [[NAN, NAN], [NAN, NAN]], [[0.0, 0.0], [0.0, 0.0]])
    loss, metrics = WeightedCrossEntropy()(data)
    assert loss.item() == pytest.approx((1 + 2) / 2)  # mean over the two tokens kept, not over all four
    assert metrics == {"nll": pytest.approx(2.5), "imitated": 0.5}
    (gradient,) = torch.autograd.grad(loss, data.logprobs)
    assert gradient.tolist() == [[-0.5, -0.5], [0.0, 0.0]]


def test_a_wrong_path_moves_the_value_and_not_the_policy():
    both = Objective.build("weighted-sft + 0.1*step-value")
    data = batch([[0.0, 0.0]], [[NAN, -1.0]], [[0.0, 0.5]])
    loss, metrics = both(data)
    assert metrics["step_value_loss"] == pytest.approx(2.25 / 1.001)
    assert loss.item() == pytest.approx(0.1 * 2.25 / 1.001)
    assert WeightedCrossEntropy()(data)[0].item() == 0.0  # a batch of wrong paths only
    assert data.values_after is not None
    policy, value = torch.autograd.grad(loss, (data.logprobs, data.values_after))
    assert not policy.any()
    assert value[0, 1] > 0
