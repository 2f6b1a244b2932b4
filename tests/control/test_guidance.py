"""Guidance by a policy, against values worked by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from pilothouse.control.columns import TrajectoryColumns
from pilothouse.control.guidance import ActionGuidance
from pilothouse.control.heun import HeunSampler
from pilothouse.core.errors import ConfigError
from pilothouse.policies.normalizer import Normalizer

UNIT = TrajectoryColumns(2, 1, Normalizer.blank(5))  # two states, one action, reward, end; all as they are


class Half:
    """Wants 0.5 everywhere."""

    def mean(self, observations: Tensor) -> Tensor:
        return torch.full((len(observations), 1), 0.5)


class Peaked:
    """A density with a deviation of its own around an action that depends on the state."""

    def __init__(self, std: float) -> None:
        self.std = std

    def mean(self, observations: Tensor) -> Tensor:
        return observations[:, :1]

    def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
        return -0.5 * ((actions - observations[:, :1]) / self.std).square().sum(-1)


def normal(x: Tensor, sigma: Tensor) -> Tensor:
    return x / (1 + sigma.square())[:, None, None]


def test_gradient_through_tanh() -> None:
    plain = ActionGuidance(normalize=False)
    x = torch.zeros(1, 3, 5)
    assert torch.allclose(plain.gradient(Half(), UNIT, x), torch.full((1, 3, 1), 0.5)), "at 0 tanh has slope 1"
    u = torch.tensor([-1.0, 0.3, 2.0])
    x[0, :, 2] = u
    expected = (0.5 - u.tanh()) * (1 - u.tanh().square())
    assert torch.allclose(plain.gradient(Half(), UNIT, x)[0, :, 0], expected)


def test_gradient_is_taken_on_the_normalised_scale() -> None:
    scaled = TrajectoryColumns(2, 1, Normalizer(torch.zeros(5), torch.tensor([1.0, 1.0, 2.0, 1.0, 1.0])))
    x = torch.zeros(1, 3, 5)
    found = ActionGuidance(normalize=False).gradient(Half(), scaled, x)
    assert torch.allclose(found, torch.full((1, 3, 1), 1.0)), "0.5 times the column's deviation of 2"


def test_a_density_is_used_unless_a_deviation_is_given() -> None:
    x = torch.zeros(1, 1, 5)
    x[..., 0] = 0.5
    for std, expected in ((None, 0.5 / 0.01), (1.0, 0.5), (2.0, 0.125)):
        found = ActionGuidance(normalize=False, std=std).gradient(Peaked(0.1), UNIT, x)
        assert float(found) == pytest.approx(expected)


def test_normalised_gradients_have_norm_one_for_each_trajectory() -> None:
    x = torch.randn(6, 7, 5, generator=torch.Generator().manual_seed(1))
    found = ActionGuidance().gradient(Half(), UNIT, x)
    assert torch.allclose(found.norm(dim=(1, 2)), torch.ones(6), atol=1e-5)


def test_strength_of_each_step() -> None:
    found = [ActionGuidance(coeff=1.0).strength(i, 4) for i in range(4)]
    assert found == pytest.approx([1.2121, 1.05, 0.7121, 0.0], abs=1e-4)
    assert ActionGuidance(delay=2).strength(1, 4) == 0.0
    assert ActionGuidance(delay=2).strength(2, 4) > 0
    assert ActionGuidance(coeff=0.0).strength(0, 4) == 0.0


@pytest.mark.parametrize("on", ["noised", "denoised"])
def test_a_step_moves_only_the_actions_and_by_its_strength(on: str) -> None:
    guide = ActionGuidance.model_validate({"coeff": 2.0, "on": on})
    x = torch.randn(3, 8, 5, generator=torch.Generator().manual_seed(2))
    kept = x.clone()
    moved = guide.nudge(Half(), UNIT, 4, 1, x, torch.tensor(0.7), normal)
    assert torch.equal(x, kept), "what was given is left as it was"
    assert torch.equal(moved[..., :2], x[..., :2])
    assert torch.equal(moved[..., 3:], x[..., 3:])
    change = (moved - x)[..., 2:3].norm(dim=(1, 2))
    assert torch.allclose(change, torch.full((3,), guide.strength(1, 4)), atol=1e-5)
    assert torch.equal(guide.nudge(Half(), UNIT, 4, 3, x, torch.tensor(0.7), normal), x), "not at the last step"


def test_policies_that_cannot_guide_are_refused() -> None:
    class Stuck:
        def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
            return actions.detach().sum(-1)

    with pytest.raises(ConfigError, match=r"Stuck has no gradient .* compute it with torch"):
        ActionGuidance().gradient(Stuck(), UNIT, torch.zeros(1, 2, 5))
    with pytest.raises(ConfigError, match=r"object cannot guide: it needs mean"):
        ActionGuidance().gradient(object(), UNIT, torch.zeros(1, 2, 5))


def test_saturated_actions_hardly_move() -> None:
    x = torch.zeros(1, 1, 5)
    x[..., 2] = math.atanh(0.999)
    assert 0 < abs(float(ActionGuidance(normalize=False).gradient(Half(), UNIT, x))) < 2e-3


def test_guided_samples_lie_between_data_and_policy() -> None:
    """Actions N(0, 1), a policy N(m, 1): more guidance moves the mean from 0 towards m, and not beyond."""

    class Far:
        def mean(self, observations: Tensor) -> Tensor:
            return torch.full((len(observations), 1), 0.9)

    means: list[float] = []
    for coeff in (0.0, 0.03, 0.1, 0.3):
        nudge = partial(ActionGuidance(coeff=coeff, normalize=False).nudge, Far(), UNIT, 32)
        x = HeunSampler(steps=32)(normal, (4000, 1, 5), torch.Generator().manual_seed(0), nudge)
        means.append(float(UNIT.read(x).actions.mean()))
        assert abs(float(x[..., :2].mean())) < 0.05, "states are left alone"
    assert means == sorted(means)
    assert abs(means[0]) < 0.03
    assert means[1] > 0.03
    assert means[-1] < 0.9


def test_compat_normalises_as_the_released_code() -> None:
    x = torch.zeros(1, 2, 5)
    ours, theirs = (ActionGuidance(compat=c).gradient(Half(), UNIT, x) for c in (False, True))
    assert torch.allclose(ours, theirs, atol=1e-6)
    at_rest = torch.zeros(1, 2, 5)
    at_rest[..., 2] = math.atanh(0.5)
    assert bool(ActionGuidance().gradient(Half(), UNIT, at_rest).isfinite().all())
