"""A residual network of fully connected blocks, each of which a condition scales and shifts (FiLM)."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn


class FiLMBlock(nn.Module):
    """``h + W2 silu(scale * norm(W1 h) + shift)`` with scale and shift from the condition.

    Args:
        width: of ``h``.
        condition: width of the condition.
    """

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.inner, self.norm, self.outer = nn.Linear(width, width), nn.LayerNorm(width), nn.Linear(width, width)
        self.film = nn.Linear(condition, 2 * width)
        self.act = nn.SiLU()

    def forward(self, hidden: Tensor, film: Tensor) -> Tensor:
        """Return the block's output [B, width], under what ``self.film`` made of the condition [B, 2 * width]."""
        scale, shift = film.chunk(2, dim=-1)
        return hidden + self.outer(self.act(self.norm(self.inner(hidden)) * (1 + scale) + shift))


class FiLMNetwork(nn.Module):
    """Smooth everywhere, so that energies built on it can be differentiated twice.

    Args:
        inputs: width of the input.
        outputs: width of the output.
        condition: width of the condition.
        width: of the hidden layers.
        blocks: how many.
    """

    def __init__(self, inputs: int, outputs: int, condition: int, width: int, blocks: int) -> None:
        super().__init__()
        self.enter = nn.Linear(inputs, width)
        self.read = nn.Sequential(nn.Linear(condition, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList(FiLMBlock(width, width) for _ in range(blocks))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.SiLU(), nn.Linear(width, outputs))

    def forward(self, inputs: Tensor, condition: Tensor) -> Tensor:
        """Return the output [B, outputs] for inputs [B, inputs] under a condition [B, condition]."""
        return self.steered(inputs, self.films(condition))

    def films(self, condition: Tensor) -> Tensor:
        """Return what each block's scale and shift are under a condition [B, condition]: [B, blocks, 2 * width]."""
        read = self.read(condition)
        return torch.stack([cast(FiLMBlock, block).film(read) for block in self.blocks], dim=1)

    def steered(self, inputs: Tensor, films: Tensor) -> Tensor:
        """Return the output for inputs [B, inputs] under ``films``, where a condition is asked about many times."""
        hidden = self.enter(inputs)
        for block, film in zip(self.blocks, films.unbind(dim=1), strict=True):
            hidden = block(hidden, film)
        return self.leave(hidden)


def sinusoids(positions: Tensor, width: int) -> Tensor:
    """Return sines and cosines of ``positions`` [B] at wavelengths from 2 pi to 20,000 pi, [B, width]."""
    half = width // 2
    rates = torch.exp(torch.arange(half, device=positions.device) * (-torch.log(torch.tensor(1e4)) / (half - 1)))
    angles = positions.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
