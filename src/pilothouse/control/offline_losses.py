"""The losses of TD3+BC and IQL as functions of what networks said; nothing here knows a network."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def bootstrapped(
    reward: Float[Tensor, " N"], done: Float[Tensor, " N"], value: Float[Tensor, " N"], discount: float
) -> Float[Tensor, " N"]:
    """Return r + discount (1 - done) V: what a critic should say of a transition.

    Args:
        reward: [N] rewards.
        done: [N] 1 where the episode ended for good, else 0.
        value: [N] value of the next state.
        discount: weight of the next step.
    """
    return torch.addcmul(reward, 1 - done, value, value=discount)


def twin_error(values: Float[Tensor, "K N"], target: Float[Tensor, " N"]) -> Float[Tensor, ""]:
    """Return the mean squared error of each critic, added over the K critics.

    Args:
        values: [K, N] what each critic says.
        target: [N] what they should say.

    Source: TD3, arXiv 1802.09477, algorithm 1.
    """
    return (values - target).square().mean(-1).sum()


def behaviour_regularised(
    value: Float[Tensor, " N"], action: Float[Tensor, "N A"], logged: Float[Tensor, "N A"], alpha: float
) -> Float[Tensor, ""]:
    """Return -lambda mean Q(s, pi(s)) + mean (pi(s) - a)^2, with lambda = alpha / mean |Q|, held constant.

    Args:
        value: [N] a critic's value of the actor's action.
        action: [N, A] the actor's action.
        logged: [N, A] the action in the data.
        alpha: weight of the value against imitation.

    Source: TD3+BC, arXiv 2106.06860, equations 3 to 5.
    """
    scale = alpha / value.detach().abs().mean().clamp(min=1e-8)
    return (action - logged).square().mean() - scale * value.mean()


def expectile(difference: Float[Tensor, " N"], tau: float) -> Float[Tensor, ""]:
    """Return mean |tau - 1[u < 0]| u^2: at tau = 0.5 half the squared error, towards 1 an upper bound.

    Args:
        difference: [N] u, the target less the estimate.
        tau: the expectile, in (0, 1).

    Source: IQL, arXiv 2110.06169, equation 5.
    """
    return (torch.where(difference < 0, 1 - tau, tau) * difference.square()).mean()


def advantage_weights(advantage: Float[Tensor, " N"], beta: float, cap: float) -> Float[Tensor, " N"]:
    """Return min(exp(beta A), cap): how much an actor imitates each action.

    Args:
        advantage: [N] value of the action above the state's.
        beta: inverse temperature; 0 is plain imitation.
        cap: largest weight.

    Source: IQL, arXiv 2110.06169, equation 7.
    """
    return (beta * advantage).exp().clamp(max=cap)
