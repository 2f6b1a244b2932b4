"""Descent on energies whose steps can be worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pilothouse.control.energy_descent import Descended, EnergyDescent
from pilothouse.control.energy_step import energy_step, rms_normalised
from pilothouse.core.errors import ConfigError, DivergedError
from pilothouse.core.parts import validated
from pilothouse.policies.energy_chunk import Dynamics

PLAIN = Dynamics(alpha=0.5, mu=0.0, norm=False, scaled=False)
TWO = EnergyDescent(g_min=0.0, max_steps=2)
Energy = Callable[[Tensor, Tensor], Tensor]


def quadratic(actions: Tensor, goal: Tensor) -> Tensor:
    return 0.5 * (actions - goal).square().sum(dim=(1, 2))


def chunk(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).view(1, -1, 1)


def descend(
    descent: EnergyDescent, goal: Tensor, start: Tensor, energy: Energy = quadratic, how: Dynamics = PLAIN
) -> Descended:
    return descent.descend(energy, goal, start, how, torch.Generator().manual_seed(0))


def test_a_quadratic_is_approached_geometrically() -> None:
    found = descend(TWO, chunk(3.0), chunk(4.0))
    assert found.chunk.item() == pytest.approx(3.0 + 0.25)
    assert found.energies[:, 0].tolist() == pytest.approx([0.5, 0.125])
    assert found.gradient_norms[:, 0].tolist() == pytest.approx([1.0, 0.5])
    assert found.energy.tolist() == pytest.approx([0.125])


@pytest.mark.parametrize(("temp", "moved"), [(1.0, 2.0), (2.0, 1.0)])
def test_high_energy_makes_longer_steps(temp: float, moved: float) -> None:
    def slope(actions: Tensor, _: Tensor) -> Tensor:
        return actions.sum(dim=(1, 2)) + math.log(2)

    dynamics = Dynamics(alpha=1.0, temp=temp, mu=0.0, norm=False)
    found = energy_step(slope, chunk(0.0), chunk(0.0), chunk(0.0), dynamics)
    assert found.chunk.item() == pytest.approx(-moved)


def test_momentum_looks_ahead() -> None:
    dynamics = PLAIN.model_copy(update={"alpha": 0.1, "mu": 0.9})
    first = energy_step(quadratic, chunk(0.0), chunk(1.0), chunk(0.0), dynamics)
    assert (first.chunk.item(), first.velocity.item()) == pytest.approx((0.9, -0.1))
    second = energy_step(quadratic, chunk(0.0), first.chunk, first.velocity, dynamics)
    assert second.gradient.item() == pytest.approx(0.81)
    assert (second.chunk.item(), second.velocity.item()) == pytest.approx((0.729, -0.171))
    assert descend(TWO, chunk(0.0), chunk(1.0), how=dynamics).chunk.item() == pytest.approx(0.729)


def test_unit_scale_is_each_chunks_own() -> None:
    scaled = rms_normalised(chunk(3.0, 4.0))
    assert scaled.flatten().tolist() == pytest.approx([0.8485, 1.1314], abs=1e-4)
    assert scaled.square().mean().item() == pytest.approx(1.0, abs=1e-6)
    both = torch.cat([chunk(3.0, 4.0), chunk(100.0, -7.0)])
    assert torch.equal(rms_normalised(both)[:1], scaled)
    assert rms_normalised(chunk(0.0, 0.0)).isfinite().all()


def counting(calls: list[int]) -> Energy:
    def energy(actions: Tensor, goal: Tensor) -> Tensor:
        calls.append(len(actions))
        return quadratic(actions, goal)

    return energy


@pytest.mark.parametrize(
    ("limits", "steps"),
    [({"max_steps": 1}, 1), ({"max_steps": 7, "g_min": math.inf}, 1), ({"max_steps": 7, "g_min": 0.0}, 7)],
)
def test_how_many_steps(limits: dict[str, float], steps: int) -> None:
    calls: list[int] = []
    start = torch.ones(3, 1, 1, dtype=torch.float64)
    found = descend(TWO.model_copy(update=limits), torch.zeros_like(start), start, counting(calls))
    assert calls == [3] * steps
    assert found.steps.tolist() == found.calls.tolist() == [steps] * 3


def test_each_chunk_stops_on_its_own() -> None:
    # errors halve: 1, 1/2 <= 0.6, one more; and 4, 2, 1, 1/2 <= 0.6, one more
    calls: list[int] = []
    start, goal = torch.cat([chunk(1.0), chunk(4.0)]), torch.zeros(2, 1, 1, dtype=torch.float64)
    descent = EnergyDescent(max_steps=9, g_min=0.6)
    found = descend(descent, goal, start, counting(calls))
    assert found.steps.tolist() == [3, 5]
    assert calls == [2, 2, 2, 1, 1]
    assert found.energies[:, 0].isnan().tolist() == [False] * 3 + [True] * 6
    assert found.energy.tolist() == pytest.approx([0.5 * 0.25**2, 0.5 * 0.25**2])
    assert torch.equal(descend(descent, goal[:1], start[:1]).chunk, found.chunk[:1])
    together = descend(descent.model_copy(update={"per_sample_stop": False}), goal, start)
    assert together.steps.tolist() == [5, 5], "the norm of (1/8, 1/2) is the first below 0.6"


def test_the_best_of_several_starts() -> None:
    # two chunks, three starts each: energies 3, 1, 4 of the first and 2, 5, 0 of the second
    energy = torch.tensor([3.0, 2.0, 1.0, 5.0, 4.0, 0.0])
    start = torch.arange(6.0).view(6, 1, 1)
    steps = torch.tensor([1, 2, 3, 4, 5, 6])
    found = Descended(start, energy[None], energy[None], steps, energy, steps).best(3)
    assert found.chunk.flatten().tolist() == [2.0, 5.0]
    assert found.energy.tolist() == [1.0, 0.0]
    assert found.steps.tolist() == [3, 6]
    assert found.calls.tolist() == [1 + 3 + 5, 2 + 4 + 6]
    with pytest.raises(ConfigError, match=r"use --sampler.max_steps 2 or more"):
        validated(EnergyDescent, {"best_of": 4, "max_steps": 1}, "sampler 'energy'")


def test_acts_where_the_caller_takes_no_gradients() -> None:
    weight = torch.ones(1, requires_grad=True, dtype=torch.float64)

    def energy(actions: Tensor, _: Tensor) -> Tensor:
        return 0.1 * (weight * actions.square()).sum(dim=(1, 2))

    with torch.no_grad():
        found = descend(TWO, chunk(0.0), chunk(1.0, 2.0), energy)
        assert not torch.is_grad_enabled()
    assert found.chunk.flatten().tolist() == pytest.approx([0.81, 1.62])
    for tensor in (found.chunk, found.energies, found.gradient_norms):
        assert not tensor.requires_grad
        assert tensor.grad_fn is None
    with torch.inference_mode(), pytest.raises(ConfigError, match=r"act under torch.no_grad\(\)"):
        descend(TWO, chunk(0.0), chunk(1.0))


def test_noise_is_drawn_from_the_generator() -> None:
    noisy = TWO.model_copy(update={"langevin": 0.1})
    found = [
        noisy.descend(quadratic, chunk(0.0), chunk(1.0), PLAIN, torch.Generator().manual_seed(seed)).chunk.item()
        for seed in (0, 0, 1)
    ]
    assert found[0] == found[1] != found[2]


def test_a_step_is_the_same_whatever_the_shape_of_a_chunk() -> None:
    assert Dynamics().alpha_hat(16, 3) == pytest.approx(20.83, abs=0.01)

    def mean_energy(actions: Tensor, _: Tensor) -> Tensor:
        return actions.square().mean(dim=(1, 2))

    for shape in ((2, 3), (16, 2)):
        dynamics = PLAIN.model_copy(update={"alpha": 0.1 * shape[0] * shape[1]})
        assert dynamics.alpha_hat(*shape) == pytest.approx(0.1)
        start = torch.ones(1, *shape)
        found = energy_step(mean_energy, start, start, torch.zeros_like(start), dynamics)
        assert found.chunk.flatten().tolist() == pytest.approx([0.8] * (shape[0] * shape[1]))


def test_what_is_set_at_the_sampler_wins_over_training() -> None:
    trained = Dynamics(alpha=7.0, mu=0.5, norm=False)
    assert EnergyDescent().dynamics(trained) == trained
    assert EnergyDescent(alpha=2.0, mu=0.0).dynamics(trained) == Dynamics(alpha=2.0, mu=0.0, norm=False)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_gradient_that_is_not_finite_is_named(bad: float) -> None:
    calls: list[int] = []

    def broken(actions: Tensor, goal: Tensor) -> Tensor:
        calls.append(1)
        factor = torch.tensor([1.0, bad if len(calls) == 2 else 1.0], dtype=torch.float64)
        return factor * quadratic(actions, goal)

    both = torch.cat([chunk(1.0), chunk(2.0)])
    with pytest.raises(DivergedError, match=r"at step 2 of the descent, for 1 of 2 chunks \(energy (nan|inf)\)"):
        descend(TWO, torch.zeros_like(both), both, broken)
