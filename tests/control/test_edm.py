"""The EDM parameterisation, its schedule and its sampler, against values worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from pilothouse.control.edm import coefficients, denoised, edm_loss, loss_weight, noise_levels
from pilothouse.control.heun import HeunSampler


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def standard_normal(x: Tensor, sigma: Tensor) -> Tensor:
    """The exact denoiser of data that are N(0, I)."""
    return x / (1 + sigma.square())[:, None, None]


def test_coefficients_at_level_one() -> None:
    skip, out, into = coefficients(torch.tensor(1.0))
    assert skip == pytest.approx(0.5)
    assert out == pytest.approx(0.7071, abs=1e-4)
    assert into == pytest.approx(0.7071, abs=1e-4)


def test_the_networks_target_weighs_one_at_every_level() -> None:
    sigma = torch.logspace(-3, 2, 20, dtype=torch.float64)
    assert torch.allclose(loss_weight(sigma) * coefficients(sigma)[1].square(), torch.ones_like(sigma))


def test_a_silent_network_skips() -> None:
    x = torch.full((1, 2, 3), 4.0)
    found = denoised(lambda noised, level: torch.zeros_like(noised), x, torch.tensor([math.sqrt(3)]))
    assert torch.allclose(found, torch.full_like(x, 1.0)), "c_skip = 1 / (3 + 1)"
    told: list[float] = []
    denoised(lambda noised, level: (told.append(float(level)), noised)[1], x, torch.tensor([math.e]))
    assert told == pytest.approx([0.25])


def test_the_loss_of_a_perfect_network_is_zero_and_of_a_silent_one_is_not() -> None:
    clean = torch.zeros(64, 2, 3)  # then D = 0 wants F(c_in x) = -c_skip x / c_out
    perfect = lambda x, level: -x / (4 * level).exp()[:, None, None]  # noqa: E731
    assert float(edm_loss(perfect, clean, seeded())) == pytest.approx(0.0, abs=1e-8)
    silent = lambda x, level: torch.zeros_like(x)  # noqa: E731
    # weight c_skip^2 sigma^2 = 1 / (sigma^2 + 1), near 1 at most levels drawn
    assert 0.5 < float(edm_loss(silent, clean, seeded())) < 1.0


def test_schedule() -> None:
    assert noise_levels(2).tolist() == [80.0, 0.002, 0.0]
    levels = noise_levels(256)
    assert len(levels) == 257
    assert bool((levels[1:] < levels[:-1]).all())
    assert levels[-1] == 0.0
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert float(noise_levels(3)[1]) == pytest.approx(middle)
    with pytest.raises(ValueError, match="at least 2"):
        noise_levels(1)


def test_heun_without_churn_returns_unit_variance() -> None:
    x = HeunSampler(steps=64, churn=0)(standard_normal, (4000, 2, 2), seeded())
    assert float(x.var()) == pytest.approx(1.0, rel=0.02)


@pytest.mark.parametrize("steps", [64, 128])
def test_churn_keeps_the_law(steps: int) -> None:
    x = HeunSampler(steps=steps, churn_noise=1.0)(standard_normal, (4000, 2, 2), seeded())
    assert float(x.var()) == pytest.approx(1.0, rel=0.05)


def test_network_calls_and_no_call_at_level_zero() -> None:
    for first_order, calls in ((False, 7), (True, 4)):
        seen: list[float] = []

        def denoise(x: Tensor, sigma: Tensor, seen: list[float] = seen) -> Tensor:
            seen.append(float(sigma[0]))
            return standard_normal(x, sigma)

        x = HeunSampler(steps=4, first_order=first_order)(denoise, (2, 3, 1), seeded())
        assert len(seen) == calls
        assert min(seen) > 0
        assert bool(x.isfinite().all())


def test_compat_steps_from_before_the_churn() -> None:
    ours, theirs = (HeunSampler(steps=32, compat=c)(standard_normal, (200, 2, 2), seeded()) for c in (False, True))
    assert not torch.equal(ours, theirs)
    same = [HeunSampler(steps=32, churn=0, compat=c)(standard_normal, (20, 2, 2), seeded()) for c in (False, True)]
    assert torch.equal(*same), "without churn there is no difference"
