"""One step down an energy landscape over action chunks: the dynamics that training and acting share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import DivergedError
from pilothouse.policies.energy_chunk import Dynamics

#: Chunks [B, T, A] and their condition [B, ...] give an energy a chunk [B].
Energy: TypeAlias = Callable[[Tensor, Tensor], Tensor]

_EPS = 1e-6  #: keeps the scale of an all-zero chunk finite


class EnergyStep(NamedTuple):
    """What a step leaves.

    Args:
        chunk: [B, T, A] after the step.
        velocity: [B, T, A] what was added; the next step's momentum.
        energy: [B] where the gradient was taken: at the look-ahead, before the step.
        gradient: [B, T, A] of the energy there.
    """

    chunk: Float[Tensor, "B T A"]
    velocity: Float[Tensor, "B T A"]
    energy: Float[Tensor, " B"]
    gradient: Float[Tensor, "B T A"]


def rms_normalised(chunk: Float[Tensor, "B T A"]) -> Float[Tensor, "B T A"]:
    """Return each chunk divided by the root of its own mean square, so that none depends on its neighbours.

    Args:
        chunk: [B, T, A].
    """
    return chunk / (chunk.square().mean(dim=(1, 2), keepdim=True) + _EPS).sqrt()


def energy_step(
    energy: Energy,
    condition: Float[Tensor, "B ..."],
    chunk: Float[Tensor, "B T A"],
    velocity: Float[Tensor, "B T A"],
    dynamics: Dynamics,
    *,
    gain: Float[Tensor, " B"] | float = 1.0,
    noise: Float[Tensor, "B T A"] | None = None,
    learn: bool = False,
    index: int = 0,
) -> EnergyStep:
    """Return chunks one step further down: v <- mu v - alpha exp(E) / temp dE/dy at y = x' + mu v, then x <- x' + v.

    x' is the chunk at unit scale, plus noise. Nothing flows back into ``chunk`` and ``velocity``: a loss on the
    result reaches the network through this step alone, through its energy (which is not detached in the step size) and
    the gradient of its gradient. Works whether or not the caller has gradients enabled.

    Args:
        energy: a scalar a chunk.
        condition: [B, ...] what the energy sees besides the chunk.
        chunk: [B, T, A] where the step begins.
        velocity: [B, T, A] the step before; zero at the first.
        dynamics: step size, momentum and scale.
        gain: what multiplies alpha; a number, or [B] one a chunk.
        noise: [B, T, A] added to the chunk at unit scale.
        learn: keep the graph, so that a loss on the result trains the energy; off to act.
        index: which step it is, from 0, for the message if it fails.

    Raises:
        DivergedError: the energy or its gradient is not finite.

    Source: EBT-Policy, arXiv 2510.27545, and its authors' code; the unit scale is each chunk's own here, the whole
    batch's there.
    """
    chunk, velocity = chunk.detach(), velocity.detach()
    at = rms_normalised(chunk) if dynamics.norm else chunk
    if noise is not None:
        at = at + noise
    with torch.enable_grad():
        ahead = (at + dynamics.mu * velocity).detach().requires_grad_()
        value = energy(ahead, condition)
        [gradient] = torch.autograd.grad(value.sum(), ahead, create_graph=learn)
        _check(gradient, value, index)
        size = dynamics.alpha * gain * (value.exp() / dynamics.temp if dynamics.scaled else torch.ones_like(value))
        moved = dynamics.mu * velocity - size[:, None, None] * gradient
        step = EnergyStep(at + moved, moved, value, gradient)
    return step if learn else EnergyStep(*(part.detach() for part in step))


def _check(gradient: Tensor, energy: Tensor, index: int) -> None:
    fine = gradient.isfinite().all(dim=(1, 2)) & energy.isfinite()
    if not fine.all():
        raise DivergedError(
            f"the energy's gradient is not finite at step {index + 1} of the descent, for {int((~fine).sum())} of "
            f"{len(fine)} chunks (energy {float(energy[~fine][0].detach()):.4g}): use a smaller alpha, or train with a "
            "smaller learning rate"
        )
