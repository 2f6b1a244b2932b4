"""Small heads on a language model's hidden states."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ValueHead(nn.Module):
    """A linear value estimate of each hidden state; starts at zero, so the first advantages are the plain returns.

    Args:
        width: hidden width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, hidden: Float[Tensor, "M D"]) -> Float[Tensor, " M"]:
        """Return the value of each of M states, in float32.

        Args:
            hidden: [M, D] last hidden states.
        """
        return hidden.float() @ self.weight + self.bias
