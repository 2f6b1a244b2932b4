"""Attention that can be differentiated twice: plain products and a softmax, with queries and keys at unit scale.

Fused attention kernels have no second derivative, which networks that are trained through their own gradient need.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from pilothouse.core.errors import ConfigError


class RMSNorm(nn.Module):
    """Root-mean-square normalisation with a learnt gain (Zhang & Sennrich 2019, arXiv 1910.07467).

    Args:
        width: features D.
        eps: added to the mean square.
    """

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, hidden: Float[Tensor, "... D"]) -> Float[Tensor, "... D"]:
        """Return ``hidden`` at unit mean square, times the gain."""
        return hidden * torch.rsqrt(hidden.square().mean(dim=-1, keepdim=True) + self.eps) * self.weight


class Attention(nn.Module):
    """Multi-head attention with normalised queries and keys; of itself, or of other tokens.

    Args:
        width: features D of queries, keys and values.
        heads: attention heads.
        dropout: share of attention weights left out of a training step; the rest is scaled up.

    Raises:
        ConfigError: the heads do not divide the width.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ConfigError(f"{heads} attention heads do not divide a width of {width}: use a multiple of {heads}")
        self.heads, self.dropout = heads, dropout
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.query_norm, self.key_norm = RMSNorm(width // heads), RMSNorm(width // heads)

    def forward(
        self,
        hidden: Float[Tensor, "B T D"],
        seen: Float[Tensor, "B S D"] | None = None,
        mask: Bool[Tensor, "T S"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Return what each token reads.

        Args:
            hidden: [B, T, D] tokens that read.
            seen: [B, S, D] tokens that are read; the same by default.
            mask: [T, S] which may read which; each at least one. All by default.
            generator: draws the dropout of a training step; ``None`` drops nothing.
        """
        source = hidden if seen is None else seen
        query = self.query_norm(self._split(self.query(hidden)))
        key, value = self.key_norm(self._split(self.key(source))), self._split(self.value(source))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf)
        read = dropped(scores.softmax(dim=-1), self.dropout, generator) @ value
        return self.out(read.transpose(1, 2).flatten(2))

    def _split(self, hidden: Tensor) -> Tensor:
        return hidden.unflatten(-1, (self.heads, -1)).transpose(1, 2)


def dropped(values: Tensor, rate: float, generator: torch.Generator | None) -> Tensor:
    """Return ``values`` with a share left out and the rest scaled up; as they are without a generator.

    Args:
        values: of any shape.
        rate: share that is left out.
        generator: draws which.
    """
    if generator is None or not rate:
        return values
    kept = torch.rand(values.shape, generator=generator, device=generator.device).to(values.device) >= rate
    return values * kept / (1 - rate)
