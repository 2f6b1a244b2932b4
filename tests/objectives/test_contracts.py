"""Laws that every objective keeps: above all, that the split into micro-batches changes nothing."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation
from pilothouse.objectives.base import Batch, Objective, Totals

MODES = get_args(Aggregation)
SPECS: list[Any] = []
for found, part in Objective.catalogue.classes().items():
    if found != "sum":
        modes = [{"aggregation": mode} for mode in MODES] if "aggregation" in part.model_fields else [{}]
        SPECS += [{"name": found, **mode} for mode in modes]
SPECS += [{"name": "clipped", "ratio": "sequence", "aggregation": mode, "dual_clip": 3.0} for mode in MODES]
SPECS += [
    {"name": "clipped", "correction": {"name": name, "level": level}}
    for name in ("truncated", "masked")
    for level in ("token", "sequence")
]
SPECS += [{"name": "kl", "kind": kind} for kind in ("k1", "k2")]
SPECS += ["clipped + 0.1*kl + 0.01*entropy + 0.5*value"]
LEARNED = ("logprobs", "entropy", "values", "values_after")


def label(spec: Any) -> str:
    return spec if isinstance(spec, str) else "-".join(str(value) for value in spec.values()).replace("'", "")


def draw_batch(seed: int, count: int = 8, width: int = 5) -> Batch:
    """A batch with every field, in double precision; one row has no loss, some sampler log-probs are unknown."""
    draw = torch.Generator().manual_seed(seed)

    def noise(scale: float = 1.0) -> Tensor:
        return scale * torch.randn(count, width, generator=draw, dtype=torch.float64)

    mask = torch.rand(count, width, generator=draw) < 0.6
    mask[0] = False
    old = noise() - 3
    sampler = torch.where(torch.rand(count, width, generator=draw) < 0.1, torch.nan, old + noise(0.3))
    marks = torch.rand(count, width, generator=draw) < 0.3
    optional = {"marks": marks, "sampler_logprobs": sampler, "ref_logprobs": old + noise(0.3), "entropy": noise().exp()}
    critic = {name: noise() for name in ("values", "values_after", "old_values", "returns")}
    weights = noise()
    totals = Totals.of(mask, 9, weights, critic["returns"])
    made = Batch(old + noise(0.3), old, weights, mask, totals, **optional, **critic)
    return replace(made, **{name: getattr(made, name).requires_grad_() for name in LEARNED})


def rows(batch: Batch, index: list[int]) -> Batch:
    cut = {f.name: v[index] for f in fields(batch) if isinstance(v := getattr(batch, f.name), Tensor)}
    return replace(batch, **cut)


def gradients(loss: Tensor, batch: Batch) -> list[Tensor]:
    leaves = [getattr(batch, name) for name in LEARNED]
    found = torch.autograd.grad(loss, leaves, allow_unused=True)
    return [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]


@pytest.mark.parametrize("spec", SPECS, ids=label)
@settings(deadline=None, max_examples=12)
@given(seed=st.integers(0, 2**31), order=st.permutations(range(4)), cuts=st.sets(st.integers(1, 3)))
def test_any_split_into_micro_batches_gives_the_same_loss_gradient_and_metrics(spec, seed, order, cuts):
    # Rows move in pairs, which DPO requires and the others do not mind.
    whole, objective = draw_batch(seed), Objective.build(spec)
    places = [row for pair in order for row in (2 * pair, 2 * pair + 1)]
    edges = [0, *sorted(2 * cut for cut in cuts), 8]
    loss, metrics = objective(whole)
    pieces = [objective(rows(whole, places[a:b])) for a, b in pairwise(edges)]
    total = torch.stack([piece for piece, _ in pieces]).sum()
    torch.testing.assert_close(total, loss, atol=1e-6, rtol=1e-6)
    for ours, theirs in zip(gradients(total, whole), gradients(loss, whole), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    for name, value in metrics.items():
        assert sum(figures[name] for _, figures in pieces) == pytest.approx(value, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_single_rows_add_up_too(spec):
    if spec == {"name": "dpo"}:
        pytest.skip("a row is half a pair")
    whole, objective = draw_batch(5), Objective.build(spec)
    total = torch.stack([objective(rows(whole, [row]))[0] for row in range(8)]).sum()
    torch.testing.assert_close(total, objective(whole)[0])


@pytest.mark.parametrize("spec", [s for s in SPECS if Objective.build(s).ignores_weightless()], ids=label)
def test_rows_without_weight_can_be_skipped(spec):
    weighty, objective = draw_batch(6), Objective.build(spec)
    batch = replace(weighty, weights=weighty.weights.masked_fill(torch.arange(8)[:, None] > 3, 0.0))
    whole, part = objective(batch)[0], objective(rows(batch, [0, 1, 2, 3]))[0]
    torch.testing.assert_close(part, whole)
    for ours, theirs in zip(gradients(part, batch), gradients(whole, batch), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_what_is_masked_out_does_not_matter(spec):
    batch, objective = draw_batch(1), Objective.build(spec)
    junk: dict[str, Tensor] = {}
    for item in fields(batch):
        value = getattr(batch, item.name)
        if isinstance(value, Tensor) and value.is_floating_point():
            junk[item.name] = torch.where(batch.mask, value.detach(), torch.nan).requires_grad_(value.requires_grad)
    spoiled = replace(batch, **junk)
    loss, metrics = objective(batch)
    spoiled_loss, spoiled_metrics = objective(spoiled)
    torch.testing.assert_close(spoiled_loss, loss)
    assert spoiled_metrics == pytest.approx(metrics)
    for ours, theirs in zip(gradients(spoiled_loss, spoiled), gradients(loss, batch), strict=True):
        assert not ours[~batch.mask].any()
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_nothing_to_train_on_is_zero_and_finite(spec):
    batch = draw_batch(2)
    mask = torch.zeros_like(batch.mask)
    loss, metrics = Objective.build(spec)(replace(batch, mask=mask, totals=Totals.of(mask)))
    if spec != {"name": "dpo"}:
        assert loss.item() == 0.0
    assert loss.isfinite()
    assert all(value == 0.0 for value in metrics.values())
    assert all(gradient.isfinite().all() for gradient in gradients(loss, batch))


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_the_gradient_is_that_of_the_loss(spec):
    batch, objective = draw_batch(7, count=4, width=3), Objective.build(spec)

    def loss(*leaves: Tensor) -> Tensor:
        return objective(replace(batch, **dict(zip(LEARNED, leaves, strict=True))))[0]

    assert torch.autograd.gradcheck(loss, [getattr(batch, name) for name in LEARNED])


@pytest.mark.parametrize("spec", SPECS, ids=label)
def test_a_part_survives_being_written_down(spec):
    part = Objective.build(spec)
    assert Objective.build(part.model_dump(mode="json")) == part
