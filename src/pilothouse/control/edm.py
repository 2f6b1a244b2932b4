"""The EDM parameterisation: how a network becomes a denoiser at every noise level, its loss and its noise schedule."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

#: Called with noised data [N, T, C] and a noise embedding [N]; returns [N, T, C].
Network: TypeAlias = Callable[[Tensor, Tensor], Tensor]
#: Called with noised data [N, T, C] and noise levels [N]; returns the data it expects behind them.
Denoise: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def coefficients(sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return c_skip, c_out and c_in at noise levels, for data of unit variance.

    Args:
        sigma: noise levels, of any shape.

    Source: EDM, arXiv 2206.00364, table 1.
    """
    spread = sigma.square() + 1
    return 1 / spread, sigma * spread.rsqrt(), spread.rsqrt()


def loss_weight(sigma: Tensor) -> Tensor:
    """Return (sigma^2 + 1) / sigma^2, which makes the network's own target weigh 1 at every level."""
    return (sigma.square() + 1) / sigma.square()


def denoised(network: Network, noised: Float[Tensor, "N T C"], sigma: Float[Tensor, " N"]) -> Float[Tensor, "N T C"]:
    """Return D(x, sigma) = c_skip x + c_out F(c_in x, ln(sigma) / 4).

    Args:
        network: F.
        noised: [N, T, C] data of unit variance with noise of deviation ``sigma``.
        sigma: [N] noise levels, above 0.
    """
    skip, out, into = (c[:, None, None] for c in coefficients(sigma))
    return skip * noised + out * network(into * noised, sigma.log() / 4)


def edm_loss(
    network: Network,
    clean: Float[Tensor, "N T C"],
    generator: torch.Generator,
    mean: float = -1.2,
    std: float = 1.2,
) -> Float[Tensor, ""]:
    """Return the weighted mean squared error of the denoiser at log-normal noise levels.

    Args:
        network: F.
        clean: [N, T, C] data of unit variance.
        generator: draws levels and noise.
        mean: of the logarithm of the level.
        std: of the logarithm of the level.

    Source: EDM, arXiv 2206.00364, equations 2 and 8.
    """
    sigma = (mean + std * torch.randn(len(clean), generator=generator)).exp()
    noise = torch.randn(clean.shape, generator=generator) * sigma[:, None, None]
    error = (denoised(network, clean + noise, sigma) - clean).square().mean((1, 2))
    return (loss_weight(sigma) * error).mean()


def noise_levels(steps: int, low: float = 0.002, high: float = 80.0, rho: float = 7.0) -> Float[Tensor, " S"]:
    """Return the ``steps`` levels of a sampler, descending, and a last one of 0, in float64.

    Args:
        steps: sampler steps N, at least 2.
        low: the last level above 0.
        high: the first level.
        rho: how much denser the low levels lie.

    Raises:
        ValueError: there are fewer than two steps.

    Source: EDM, arXiv 2206.00364, equation 5.
    """
    if steps < 2:
        raise ValueError(f"a noise schedule needs at least 2 steps, not {steps}")
    share = torch.arange(steps, dtype=torch.float64) / (steps - 1)
    levels = (high ** (1 / rho) + share * (low ** (1 / rho) - high ** (1 / rho))) ** rho
    levels[0], levels[-1] = high, low
    return torch.cat([levels, levels.new_zeros(1)])
