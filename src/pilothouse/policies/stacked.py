"""Several small networks of one shape computed as one: twin critics, ensembles, and a single one alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn


class StackedMLP(nn.Module):
    """K multilayer perceptrons with ReLU between layers, whose layers are one batched matrix product each.

    Args:
        sizes: width of the input, of every hidden layer and of the output.
        members: networks K; each has weights of its own.
        generator: draws the weights, uniform within 1 / sqrt(fan in).
    """

    def __init__(self, sizes: Sequence[int], members: int, generator: torch.Generator) -> None:
        super().__init__()
        self.sizes, self.members = tuple(sizes), members
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = 1 / math.sqrt(fan_in)
            for kept, shape in ((self.weights, (members, fan_in, fan_out)), (self.biases, (members, 1, fan_out))):
                kept.append(nn.Parameter((2 * torch.rand(shape, generator=generator) - 1) * bound))

    def forward(self, x: Float[Tensor, "*K N D"]) -> Float[Tensor, "K N A"]:
        """Return every member's output.

        Args:
            x: [N, D] inputs of all members, or [K, N, D] of each.
        """
        return self._through(x, list(zip(self.weights, self.biases, strict=True)))

    def frozen(self, x: Float[Tensor, "*K N D"], members: slice = slice(None)) -> Float[Tensor, "K N A"]:
        """Return outputs whose gradients reach the inputs and not the weights.

        Args:
            x: as in ``forward``.
            members: the members asked.
        """
        layers = zip(self.weights, self.biases, strict=True)
        return self._through(x, [(w.detach()[members], b.detach()[members]) for w, b in layers])

    def _through(self, x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        if x.dim() == 2:
            x = x.expand(len(layers[0][0]), -1, -1)
        for weight, bias in layers[:-1]:
            x = torch.baddbmm(bias, x, weight).relu_()
        return torch.baddbmm(layers[-1][1], x, layers[-1][0])
