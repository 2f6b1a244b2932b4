"""The other losses by hand, and the gradients that their estimators really have."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.objectives.base import Batch, Objective, Totals
from pilothouse.objectives.cross_entropy import CrossEntropy
from pilothouse.objectives.dpo import DPO
from pilothouse.objectives.entropy import EntropyBonus
from pilothouse.objectives.gap import sampler_gap
from pilothouse.objectives.kl import ReferenceKL, kl_estimate
from pilothouse.objectives.value import ValueLoss

NAN = float("nan")


def batch(logprobs: list[list[float]], mask: list[list[int]] | None = None, **fields: list[list[float]]) -> Batch:
    taken = torch.tensor(logprobs, requires_grad=True)
    keep = torch.ones(taken.shape, dtype=torch.bool) if mask is None else torch.tensor(mask).bool()
    more: dict[str, Any] = {name: torch.tensor(value, requires_grad=True) for name, value in fields.items()}
    return Batch(taken, taken.detach(), torch.zeros(taken.shape), keep, Totals.of(keep), **more)


def test_kl_kinds_by_hand():
    here, there = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]])  # d = 0.5, -1
    torch.testing.assert_close(kl_estimate(here, there, "k1"), torch.tensor([[0.5, -1.0]]))
    torch.testing.assert_close(kl_estimate(here, there, "k2"), torch.tensor([[0.125, 0.5]]))
    wanted = torch.tensor([[math.exp(-0.5) - 1 + 0.5, math.e - 1 - 1]])
    torch.testing.assert_close(kl_estimate(here, there, "k3"), wanted)


@pytest.mark.parametrize("kind", ["k1", "k2", "k3"])
def test_kl_kinds_in_expectation(kind):
    draw = torch.Generator().manual_seed(3)
    logits, other = torch.randn(2, 5, generator=draw, dtype=torch.float64)
    logits.requires_grad_()
    policy, reference = logits.log_softmax(0), other.log_softmax(0)
    chance = policy.exp().detach()
    estimate = kl_estimate(policy[None], reference[None], kind)[0]
    reverse = (policy.exp() * (policy - reference)).sum()
    forward = (reference.exp() * (reference - policy)).sum()
    (reverse_gradient,) = torch.autograd.grad(reverse, logits, retain_graph=True)
    (forward_gradient,) = torch.autograd.grad(forward, logits, retain_graph=True)
    (gradient,) = torch.autograd.grad((chance * estimate).sum(), logits)
    wanted = {"k1": torch.zeros_like(gradient), "k2": reverse_gradient, "k3": forward_gradient}[kind]
    torch.testing.assert_close(gradient, wanted)
    if kind != "k2":
        torch.testing.assert_close((chance * estimate).sum(), reverse)


def test_reference_kl_averages_and_reports():
    data = batch([[-1.0, -2.0, NAN]], mask=[[1, 1, 0]], ref_logprobs=[[-1.5, -1.0, NAN]])
    loss, metrics = ReferenceKL(kind="k2")(data)
    assert loss.item() == pytest.approx(0.3125)
    assert metrics == {"kl": pytest.approx(0.3125)}
    assert torch.autograd.grad(loss, data.logprobs)[0].tolist() == [[0.25, -0.5, 0.0]]
    same = batch([[-1.0, -2.0]], ref_logprobs=[[-1.0, -2.0]])
    assert all(ReferenceKL(kind=kind)(same)[0].item() == 0.0 for kind in ("k1", "k2", "k3"))


def test_entropy_bonus_pushes_entropy_up():
    data = batch([[0.0, 0.0]], entropy=[[1.0, 3.0]])
    loss, metrics = EntropyBonus()(data)
    assert (loss.item(), metrics) == (-2.0, {"policy_entropy": 2.0})
    assert torch.autograd.grad(loss, data.entropy)[0].tolist() == [[-0.5, -0.5]]


def test_value_loss_by_hand():
    # Moved by +1 towards the return (clipped loss larger, no gradient); by +1 away from it (raw loss larger).
    data = batch([[0.0, 0.0]], values=[[1.0, 1.0]], old_values=[[0.0, 0.0]], returns=[[2.0, -1.0]])
    loss, metrics = ValueLoss(eps=0.2)(data)
    assert loss.item() == pytest.approx((1.8**2 + 2.0**2) / 4)
    assert metrics == {"value_loss": pytest.approx((1.8**2 + 2.0**2) / 4), "value_clip": 0.5}
    assert torch.autograd.grad(loss, data.values)[0].tolist() == [[0.0, 1.0]]
    assert ValueLoss(eps=0)(data)[0].item() == pytest.approx((1.0 + 4.0) / 4)


def test_cross_entropy_by_hand():
    loss, metrics = CrossEntropy()(batch([[-1.0, -3.0, -9.0]], mask=[[1, 1, 0]]))
    assert (loss.item(), metrics) == (2.0, {"nll": 2.0})


def test_dpo_by_hand_and_log_2_at_equality():
    # Pair 1: margin 0.1 * ((-3 + 4) - (-5 + 3)) = 0.3; pair 2: 0.1 * ((-2 + 1) - (-1 + 1)) = -0.1.
    logprobs, reference = (
        [[-1.0, -2.0], [-5.0, NAN], [-2.0, NAN], [-1.0, NAN]],
        [[-2.0, -2.0], [-3.0, NAN], [-1.0, NAN], [-1.0, NAN]],
    )
    mask = [[1, 1], [1, 0], [1, 0], [1, 0]]
    loss, metrics = DPO(beta=0.1)(batch(logprobs, mask, ref_logprobs=reference))
    assert loss.item() == pytest.approx((math.log1p(math.exp(-0.3)) + math.log1p(math.exp(0.1))) / 2)
    assert metrics == {"dpo_accuracy": 0.5, "dpo_margin": pytest.approx(0.1)}
    same, _ = DPO()(batch(logprobs, mask, ref_logprobs=logprobs))
    assert same.item() == pytest.approx(math.log(2))


def test_dpo_prefers_the_chosen_row():
    data = batch([[-1.0], [-1.0]], ref_logprobs=[[-1.0], [-1.0]])
    (gradient,) = torch.autograd.grad(DPO(beta=0.4)(data)[0], data.logprobs)
    assert gradient.tolist() == [[pytest.approx(-0.2)], [pytest.approx(0.2)]]
    with pytest.raises(ConfigError, match="micro-batch has 3"):
        DPO()(batch([[-1.0]] * 3, ref_logprobs=[[-1.0]] * 3))


@pytest.mark.parametrize("name", ["kl", "entropy", "value", "dpo"])
def test_a_missing_input_is_named(name):
    objective = Objective.build(name)
    (needed,) = objective.requirements()
    with pytest.raises(ConfigError, match=f"objective '{name}' needs {needed}"):
        objective(batch([[-1.0], [-1.0]]))


def test_sums_add_losses_and_scale():
    data = batch([[-1.0, -2.0]], ref_logprobs=[[-1.5, -1.0]], entropy=[[1.0, 3.0]])
    total = CrossEntropy() + 0.5 * ReferenceKL() + 0.01 * EntropyBonus()
    parts = CrossEntropy()(data)[0] + 0.5 * ReferenceKL()(data)[0] + 0.01 * EntropyBonus()(data)[0]
    loss, metrics = total(data)
    torch.testing.assert_close(loss, parts)
    assert set(metrics) == {"nll", "kl", "policy_entropy"}
    assert total.requirements() == {"ref_logprobs", "entropy"}
    torch.testing.assert_close(Objective.build("sft + 0.5*kl + 0.01*entropy")(data)[0], loss)
    torch.testing.assert_close((2.0 * total)(data)[0], 2 * loss)


def test_sampler_gap_by_hand():
    found = sampler_gap(torch.tensor([-1.0, -2.0, -3.0]), torch.tensor([-1.1, -1.7, NAN]))
    kl = (math.exp(0.1) - 1 - 0.1 + math.exp(-0.3) - 1 + 0.3) / 2
    wanted = {"gap_mean": 0.2, "gap_max": 0.3, "gap_kl": kl, "gap_unknown": 1 / 3}
    assert found == {name: pytest.approx(value, rel=1e-5) for name, value in wanted.items()}


def test_sampler_gap_of_nothing():
    unknown = sampler_gap(torch.zeros(2), torch.full((2,), NAN))
    assert unknown == {"gap_mean": 0.0, "gap_max": 0.0, "gap_kl": 0.0, "gap_unknown": 1.0}
    assert sampler_gap(torch.zeros(0), torch.zeros(0))["gap_unknown"] == 0.0
