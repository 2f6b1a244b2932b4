"""How good made-up trajectories are: how on-policy, how true to the dynamics, how near to the data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.control.columns import Pieces
from pilothouse.control.offline_data import OfflineData


@torch.no_grad()
def off_policyness(pieces: Pieces, policy: Any) -> float:
    """Return the mean squared distance of the actions from the policy's, summed over the numbers of an action.

    Args:
        pieces: N trajectories.
        policy: with ``mean(observations)``.
    """
    wanted = policy.mean(pieces.states.flatten(0, 1))
    return float((pieces.actions.flatten(0, 1) - wanted).square().sum(-1).mean())


@torch.no_grad()
def log_likelihood(pieces: Pieces, policy: Any) -> float:
    """Return the mean log-density of the actions under a policy with ``log_prob``, in nats a step."""
    return float(policy.log_prob(pieces.states.flatten(0, 1), pieces.actions.flatten(0, 1)).mean())


@torch.no_grad()
def dynamics_error(pieces: Pieces, true_step: Callable[[Tensor, Tensor], Tensor]) -> Float[Tensor, " T"]:
    """Return the mean squared distance of each next state from the true one, [T - 1], one figure a transition.

    Args:
        pieces: N trajectories of T rows.
        true_step: the next states [M, D] of states [M, D] and actions [M, A].
    """
    states, actions = pieces.states[:, :-1], pieces.actions[:, :-1]
    true = true_step(states.flatten(0, 1), actions.flatten(0, 1)).view_as(states)
    return (pieces.states[:, 1:] - true).square().sum(-1).mean(0)


@torch.no_grad()
def distance_to_data(pieces: Pieces, data: OfflineData, most: int = 4096) -> float:
    """Return the mean distance of a made-up state to the nearest recorded one, in standard deviations of the data.

    Args:
        pieces: N trajectories.
        data: what was recorded.
        most: states compared on each side, the first ones.
    """
    seen = data.frame.observations
    made, real = seen(pieces.states.flatten(0, 1)[:most]), seen(data.transitions.state[:most])
    return float(torch.cdist(made, real).amin(1).mean())


def termination_rate(pieces: Pieces) -> float:
    """Return the share of rows that say that the episode ended for good."""
    return float((pieces.done > 0.5).float().mean())
