"""Small networks that turn a state into an action within [-1, 1], or into a distribution over actions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pilothouse.policies.stacked import StackedMLP


class DeterministicActor(nn.Module):
    """tanh of a multilayer perceptron.

    Args:
        states: width D of a state.
        actions: width A of an action.
        hidden: widths of the hidden layers.
        generator: draws the weights.
    """

    def __init__(self, states: int, actions: int, hidden: Sequence[int], generator: torch.Generator) -> None:
        super().__init__()
        self.body = StackedMLP((states, *hidden, actions), 1, generator)

    def mean(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N A"]:
        """Return the action in each of N states."""
        return self.body(states)[0].tanh()


class GaussianActor(nn.Module):
    """A Gaussian around tanh of a multilayer perceptron, with one learnt standard deviation for each action.

    Args:
        states: width D of a state.
        actions: width A of an action.
        hidden: widths of the hidden layers.
        generator: draws the weights.
        log_std: the range in which the logarithm of the standard deviation is kept; it starts at 0.
    """

    def __init__(
        self,
        states: int,
        actions: int,
        hidden: Sequence[int],
        generator: torch.Generator,
        log_std: tuple[float, float] = (-5.0, 2.0),
    ) -> None:
        super().__init__()
        self.body = StackedMLP((states, *hidden, actions), 1, generator)
        self.log_std, self.range = nn.Parameter(torch.zeros(actions)), log_std

    def mean(self, states: Float[Tensor, "N D"]) -> Float[Tensor, "N A"]:
        """Return the most likely action in each of N states."""
        return self.body(states)[0].tanh()

    def log_prob(self, states: Float[Tensor, "N D"], actions: Float[Tensor, "N A"]) -> Float[Tensor, " N"]:
        """Return the log-density of each action in its state, in nats."""
        log_std = self.log_std.clamp(*self.range)
        z = (actions - self.mean(states)) * (-log_std).exp()
        return -0.5 * z.square().sum(-1) - log_std.sum() - 0.5 * math.log(2 * math.pi) * actions.shape[-1]
