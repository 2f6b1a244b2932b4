"""One step of a denoiser, as pure functions: level k to a lower one, clipped to the range of normalised actions."""

from __future__ import annotations

import torch
from torch import Tensor


def predicted_clean(chunk: Tensor, noise: Tensor, alpha: float) -> Tensor:
    """Return the clean chunk that a predicted noise means, clipped to [-1, 1].

    Args:
        chunk: [B, T, A] at some level.
        noise: [B, T, A] predicted in it.
        alpha: share of signal variance at that level.
    """
    return torch.sub(chunk, noise, alpha=(1 - alpha) ** 0.5).div_(alpha**0.5).clamp_(-1, 1)


def signal(alphas: Tensor, level: int) -> float:
    """Return the share of signal variance at a level; below the lowest everything is signal."""
    return float(alphas[level]) if level >= 0 else 1.0


def posterior_step(
    chunk: Tensor, noise: Tensor, alphas: Tensor, level: int, lower: int, fresh: Tensor | None
) -> Tensor:
    """Return a draw from the posterior at level ``lower``, given the chunk at ``level`` and its predicted clean one.

    With ``a = alphas[level] / alphas[lower]`` and ``b = 1 - a``, its mean is ``(sqrt(alphas[lower]) b x0 + sqrt(a)
    (1 - alphas[lower]) x) / (1 - alphas[level])`` and its variance ``b (1 - alphas[lower]) / (1 - alphas[level])``
    (Ho et al. 2020, arXiv 2006.11239, equations 6 and 7).

    Args:
        chunk: [B, T, A] at ``level``.
        noise: [B, T, A] predicted in it.
        alphas: [K] share of signal variance by level.
        level: from.
        lower: to; -1 is clean.
        fresh: [B, T, A] standard normal; ``None`` returns the mean.
    """
    now, then = signal(alphas, level), signal(alphas, lower)
    clean = predicted_clean(chunk, noise, now)
    if lower < 0:
        return clean
    kept = now / then
    mean = clean.mul_(then**0.5 * (1 - kept) / (1 - now)).add_(chunk, alpha=kept**0.5 * (1 - then) / (1 - now))
    return mean if fresh is None else mean.add_(fresh, alpha=((1 - kept) * (1 - then) / (1 - now)) ** 0.5)


def implicit_step(
    chunk: Tensor, noise: Tensor, alphas: Tensor, level: int, lower: int, eta: float, fresh: Tensor | None
) -> Tensor:
    """Return the chunk at level ``lower`` by DDIM (Song et al. 2021, arXiv 2010.02502, equation 12).

    Args:
        chunk: [B, T, A] at ``level``.
        noise: [B, T, A] predicted in it.
        alphas: [K] share of signal variance by level.
        level: from.
        lower: to; -1 is clean.
        eta: 0 draws nothing, 1 has the posterior's variance.
        fresh: [B, T, A] standard normal, needed when ``eta`` is above 0.
    """
    now, then = signal(alphas, level), signal(alphas, lower)
    clean = predicted_clean(chunk, noise, now)
    if lower < 0:
        return clean
    spread = eta * ((1 - then) / (1 - now) * (1 - now / then)) ** 0.5
    kept = ((1 - then - spread**2) / (1 - now)) ** 0.5  # of the noise that the clean chunk implies
    moved = clean.mul_(then**0.5 - kept * now**0.5).add_(chunk, alpha=kept)
    return moved if fresh is None or not eta else moved.add_(fresh, alpha=spread)
