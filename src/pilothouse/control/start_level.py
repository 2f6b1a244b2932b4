"""At which noise level to start polishing a guess: where the noise is as large as the guess is wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from pilothouse.control.samplers import DDPM, Draws, Sampler
from pilothouse.control.warm_start import shifted
from pilothouse.policies.diffusion import DiffusionChunkPolicy


def level_of_error(alphas: Tensor, mean_square: float) -> int:
    """Return the lowest level k with ``(1 - a_k) / a_k >= mean_square``, the last one if none has.

    Args:
        alphas: [K] share of signal variance by level.
        mean_square: mean square of the guess's error, in normalised units.
    """
    enough = ((1 - alphas) / alphas >= mean_square).nonzero().flatten()
    return int(enough[0]) if len(enough) else len(alphas) - 1


@torch.no_grad()
def estimate_start_step(
    policy: DiffusionChunkPolicy,
    observations: Tensor,
    actions: Tensor,
    generator: torch.Generator,
    shift: int = 1,
    sampler: Sampler | None = None,
) -> int:
    """Return the level at which to start, from recorded pairs of a plan and what was observed after its first actions.

    Args:
        policy: what will act.
        observations: [N, To, D] the last observations, ``shift`` steps after ``actions`` began to be executed.
        actions: [N, T, A] the plan at that time, in the task's units.
        generator: noise comes from it.
        shift: steps between the two.
        sampler: solves in full; ancestral sampling by default.
    """
    draws = Draws(len(observations), (policy.horizon, policy.action_dim), generator)
    rows = torch.arange(len(observations))
    solved, _ = (sampler or DDPM()).sample(policy, policy.condition(observations), draws, rows)
    guess = shifted(policy.actions(actions), shift)
    return level_of_error(policy.alphas, float((guess - solved).square().mean()))
