"""The energy transformer: one score an entry of an action chunk, which reads a causal encoding of what was observed."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pilothouse.core.errors import ConfigError
from pilothouse.policies.attention import Attention, RMSNorm
from pilothouse.policies.film import sinusoids


class CausalEncoder(nn.Module):
    """Tokens of an observation window, of which each reads itself and those before it.

    Args:
        obs_dim: features of an observation.
        width: features D of a token.
        blocks: attention blocks.
        heads: attention heads.
        dropout: of the attention weights, in training.
        window: observations T_o.
    """

    def __init__(
        self, obs_dim: int, window: int, width: int = 256, blocks: int = 8, heads: int = 4, dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.embed = nn.Linear(obs_dim, width)
        self.blocks = nn.ModuleList(_SelfBlock(width, heads, dropout) for _ in range(blocks))
        self.norm = RMSNorm(width)
        self.positions: Tensor
        self.mask: Tensor
        self.register_buffer("positions", sinusoids(torch.arange(window), width), persistent=False)
        self.register_buffer("mask", torch.ones(window, window, dtype=torch.bool).tril(), persistent=False)
        _xavier(self)

    def forward(
        self, observations: Float[Tensor, "B To O"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "B To D"]:
        """Return a token an observation.

        Args:
            observations: [B, To, O] normalised observations, oldest first.
            generator: draws the dropout of a training step; ``None`` drops nothing.
        """
        hidden = self.embed(observations) + self.positions
        for block in self.blocks:
            hidden = block(hidden, self.mask, generator)
        return self.norm(hidden)


class EnergyTransformer(nn.Module):
    """Scores of a chunk's entries; their mean is its energy. It sees no time and no noise level.

    Action row i reads observation j only if i >= j.

    Args:
        act_dim: entries of an action, A.
        horizon: rows of a chunk, T.
        window: observations T_o.
        width: features D of a token.
        blocks: blocks of self-attention, attention of the observations and a network of one hidden layer.
        heads: attention heads.
        dropout: of the attention weights, in training.

    Raises:
        ConfigError: the width is odd, or the heads do not divide it.

    Source: EBT-Policy, arXiv 2510.27545, as in its authors' code.
    """

    def __init__(
        self,
        act_dim: int,
        horizon: int,
        window: int,
        width: int = 256,
        blocks: int = 8,
        heads: int = 4,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        if width % 2:
            raise ConfigError(f"positions are pairs of a sine and a cosine: width must be even, not {width}")
        self.embed = nn.Sequential(_mlp(act_dim, width, width), RMSNorm(width))
        self.blocks = nn.ModuleList(_CrossBlock(width, heads, dropout) for _ in range(blocks))
        self.head = nn.Sequential(RMSNorm(width), _mlp(width, width, act_dim))
        self.positions: Tensor
        self.mask: Tensor
        self.register_buffer("positions", sinusoids(torch.arange(horizon), width), persistent=False)
        self.register_buffer("mask", torch.ones(horizon, window, dtype=torch.bool).tril(), persistent=False)
        _xavier(self)

    def forward(
        self,
        actions: Float[Tensor, "B T A"],
        condition: Float[Tensor, "B To D"],
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "B T A"]:
        """Return a score an entry.

        Args:
            actions: [B, T, A] chunks.
            condition: [B, To, D] encoded observations.
            generator: draws the dropout of a training step; ``None`` drops nothing.
        """
        hidden = self.embed(actions) + self.positions
        for block in self.blocks:
            hidden = block(hidden, condition, self.mask, generator)
        return self.head(hidden)


class _SelfBlock(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second = RMSNorm(width), RMSNorm(width)
        self.attention, self.mlp = Attention(width, heads, dropout), _mlp(width, width, width)

    def forward(self, hidden: Tensor, mask: Tensor | None, generator: torch.Generator | None) -> Tensor:
        hidden = hidden + self.attention(self.first(hidden), mask=mask, generator=generator)
        return hidden + self.mlp(self.second(hidden))


class _CrossBlock(nn.Module):
    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.first, self.second, self.third = RMSNorm(width), RMSNorm(width), RMSNorm(width)
        self.own, self.cross = Attention(width, heads, dropout), Attention(width, heads, dropout)
        self.mlp = _mlp(width, width, width)

    def forward(self, hidden: Tensor, seen: Tensor, mask: Tensor, generator: torch.Generator | None) -> Tensor:
        hidden = hidden + self.own(self.first(hidden), generator=generator)
        hidden = hidden + self.cross(self.second(hidden), seen, mask, generator)
        return hidden + self.mlp(self.third(hidden))


def _mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.GELU(approximate="tanh"), nn.Linear(hidden, outputs))


def _xavier(network: nn.Module) -> None:
    """Xavier weights and zero biases, drawn from the global generator."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
