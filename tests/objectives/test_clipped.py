"""The clipped surrogate, its ratio and its corrections by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from pydantic import ValidationError

from pilothouse.objectives.base import Batch, Objective, Totals
from pilothouse.objectives.clipped import GSPO, Clipped, clipped_surrogate, log_ratios
from pilothouse.objectives.importance import Correction, Masked, Truncated

NAN = float("nan")


def batch(
    ratio: list[list[float]], weights: list[list[float]], mask: list[list[int]] | None = None, **more: Any
) -> Batch:
    """A batch whose probability ratios are the given ones."""
    logprobs = torch.tensor(ratio).log().sub(1).requires_grad_()
    keep = torch.ones(logprobs.shape, dtype=torch.bool) if mask is None else torch.tensor(mask).bool()
    old = torch.full(logprobs.shape, -1.0)
    return Batch(logprobs, old, torch.tensor(weights), keep, Totals.of(keep), **more)


def gradient(objective: Objective, data: Batch) -> torch.Tensor:
    return torch.autograd.grad(objective(data)[0], data.logprobs)[0]


def test_surrogate_by_hand():
    ratio, weights = torch.tensor([[1.5, 0.5, 1.5, 0.5, 1.1]]), torch.tensor([[1.0, 1.0, -2.0, -2.0, 3.0]])
    found = clipped_surrogate(ratio, weights, eps_low=0.2, eps_high=0.3)
    torch.testing.assert_close(found, torch.tensor([[-1.3, -0.5, 3.0, 1.6, -3.3]]))


def test_equal_bounds_are_the_symmetric_clip():
    ratio = torch.linspace(0.1, 3, 40)[None]
    for weights in (torch.ones(1, 40), -torch.ones(1, 40)):
        symmetric = -torch.minimum(ratio * weights, torch.clamp(ratio, 0.8, 1.2) * weights)
        torch.testing.assert_close(clipped_surrogate(ratio, weights, 0.2, 0.2), symmetric)


def test_no_gradient_where_the_ratio_has_already_moved_with_the_credit():
    #              A>0: high   inside  low  | A<0: high  inside  low
    data = batch([[1.4, 1.1, 0.5, 1.4, 1.1, 0.5]], [[1.0, 1.0, 1.0, -1.0, -1.0, -1.0]])
    found = gradient(Clipped(eps_high=0.3), data) * 6
    torch.testing.assert_close(found, torch.tensor([[0.0, -1.1, -0.5, 1.4, 1.1, 0.0]]))


def test_clip_higher_lets_a_rising_token_rise_further():
    data = batch([[1.25]], [[1.0]])
    assert gradient(Clipped(), data).item() == 0.0
    assert gradient(Clipped(eps_high=0.28), data).item() == pytest.approx(-1.25)


def test_dual_clip_bounds_the_loss_of_negative_credit():
    ratio, weights = torch.tensor([[5.0, 5.0, 2.0]]), torch.tensor([[-1.0, 1.0, -1.0]])
    torch.testing.assert_close(clipped_surrogate(ratio, weights, 0.2, 0.2, 3.0), torch.tensor([[3.0, -1.2, 2.0]]))
    assert gradient(Clipped(dual_clip=3.0), batch([[5.0]], [[-1.0]])).item() == 0.0
    assert gradient(Clipped(), batch([[5.0]], [[-1.0]])).item() == pytest.approx(5.0)
    with pytest.raises(ValidationError):
        Clipped(dual_clip=0.9)


def test_sequence_ratio_is_the_geometric_mean_over_unmasked_tokens():
    data = batch([[2.0, 8.0, 3.0], [1.0, 1.0, 4.0]], [[1.0] * 3] * 2, mask=[[1, 1, 0], [0, 0, 1]])
    found = log_ratios(data.logprobs, data.old_logprobs, data.mask, "sequence").exp()
    torch.testing.assert_close(found, torch.tensor([[4.0, 4.0, 1.0], [1.0, 1.0, 4.0]]))


def test_gspo_gradient_is_the_sequence_ratio_shared_by_its_tokens():
    data = batch([[1.0001, 1.0003]], [[2.0, 2.0]])
    ratio = math.sqrt(1.0001 * 1.0003)
    loss, _ = GSPO()(data)
    assert loss.item() == pytest.approx(-2 * ratio, rel=1e-6)
    torch.testing.assert_close(gradient(GSPO(), data), torch.full((1, 2), -2 * ratio / 2))
    assert not gradient(GSPO(), batch([[1.001, 1.001]], [[2.0, 2.0]])).any()


def test_metrics_count_clipped_tokens_on_each_side():
    data = batch(
        [[1.5, 0.5, 0.5, 1.0], [1.5, 1.0, 9.0, 9.0]], [[1.0, 1, -1, 1], [-1.0, 1, 1, 1]], mask=[[1] * 4, [1, 1, 0, 0]]
    )
    _, metrics = Clipped()(data)
    assert metrics["clip_high"] == pytest.approx(1 / 6)
    assert metrics["clip_low"] == pytest.approx(1 / 6)
    assert metrics["ratio_shift"] == pytest.approx(0.0)
    k3 = [1.5 - 1 - math.log(1.5), 0.5 - 1 - math.log(0.5)]
    assert metrics["approx_kl"] == pytest.approx((2 * k3[0] + 2 * k3[1]) / 6, rel=1e-5)


def test_truncated_correction_by_hand_and_unknown_counts_as_one():
    sampler = torch.tensor([[-1.0 - math.log(1.5), -1.0 - math.log(4.0), NAN, -1.0]])
    data = batch([[1.0] * 4], [[1.0] * 4], sampler_logprobs=sampler)
    weight, metrics = Truncated(cap=2.0)(data)
    torch.testing.assert_close(weight, torch.tensor([[1.5, 2.0, 1.0, 1.0]]))
    assert metrics["importance_cut"] == pytest.approx(1 / 4)
    assert metrics["importance_unknown"] == pytest.approx(1 / 4)
    assert metrics["importance_shift"] == pytest.approx(3.5 / 4)
    whole, _ = Truncated(cap=100.0, level="sequence")(data)
    torch.testing.assert_close(whole, torch.full((1, 4), 6.0))
    assert Clipped(correction=Truncated())(data)[0].item() == pytest.approx(-5.5 / 4)


def test_masked_correction_drops_what_leaves_the_interval():
    sampler = torch.tensor([[-1.0 - math.log(1.5), -1.0 - math.log(6.0), -1.0 - math.log(0.4), NAN]])
    data = batch([[1.0] * 4], [[1.0] * 4], sampler_logprobs=sampler)
    torch.testing.assert_close(Masked()(data)[0], torch.tensor([[1.5, 0.0, 0.0, 1.0]]))
    torch.testing.assert_close(Masked(level="sequence")(data)[0], torch.full((1, 4), 3.6))


def test_without_sampler_logprobs_a_correction_changes_nothing_and_says_so():
    data = batch([[1.0, 1.1]], [[1.0, -1.0]])
    loss, metrics = Clipped(correction=Truncated())(data)
    torch.testing.assert_close(loss, Clipped()(data)[0])
    assert metrics["importance_unknown"] == 1.0


def test_the_correction_is_a_part_that_a_table_can_name():
    part = Objective.build({"name": "clipped", "correction": {"name": "truncated", "cap": 3.0}})
    assert isinstance(part, Clipped)
    assert part.correction == Truncated(cap=3.0)
    assert Objective.build(part.model_dump(mode="json")) == part
    assert set(Correction.catalogue.classes()) == {"none", "truncated", "masked"}


def test_values_that_are_not_finite_outside_the_mask_do_not_reach_the_gradient():
    data = batch([[1.0, NAN, float("inf"), 0.0]], [[1.0, NAN, 1.0, 1.0]], mask=[[1, 0, 0, 0]])
    for objective in (Clipped(), GSPO()):
        loss, _ = objective(data)
        found = gradient(objective, data)
        assert loss.item() == pytest.approx(-1.0)
        assert found[0, 0].item() == pytest.approx(-1.0)
        assert not found[0, 1:].any()
