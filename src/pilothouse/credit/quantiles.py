"""Quantiles of a stream of scores: followed by stochastic gradient steps, or taken from one batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import ConfigError


class QuantileTracker:
    """Follows quantiles of scores over steps: ``q_s += lr (s - share of scores below q_s)``.

    The step is the gradient of the quantile (pinball) loss, so on a stationary stream q_s settles at the s-quantile.

    Args:
        levels: what is tracked, each in (0, 1).
        lr: step size, in units of the score.
        init: where every quantile starts; ``None`` starts at the quantiles of the first batch.

    Raises:
        ConfigError: a level is not in (0, 1), or the step size is not positive.

    Source: Ren et al. 2025 (RiskPO), arXiv 2510.00911, "quantile tracking"; Robbins and Monro 1951.
    """

    def __init__(self, levels: Sequence[float], lr: float = 0.1, init: float | None = None) -> None:
        if not all(0 < level < 1 for level in levels) or lr <= 0:
            raise ConfigError(f"quantile levels must lie in (0, 1) and the step be positive, not {levels} and {lr}")
        self.levels, self.lr = tuple(levels), lr
        self.values: tuple[float, ...] = () if init is None else (init,) * len(self.levels)

    def update(self, scores: Float[Tensor, " K"]) -> None:
        """Take in a batch of finite scores; the first one only sets the start, unless there is one."""
        if not scores.numel():
            return
        if not self.values:
            found = torch.quantile(scores.double(), torch.tensor(self.levels, dtype=torch.double))
            self.values = tuple(float(q) for q in found)
            return
        moved = zip(self.levels, self.values, strict=True)
        self.values = tuple(q + self.lr * (s - float((scores < q).double().mean())) for s, q in moved)

    def value(self, level: float) -> float:
        """Return the tracked quantile.

        Raises:
            ConfigError: the level is not tracked, or nothing was seen yet.
        """
        if level not in self.levels or not self.values:
            raise ConfigError(f"quantile {level} is not known: tracked are {self.levels}, after a first batch")
        return self.values[self.levels.index(level)]

    def state_dict(self) -> dict[str, Any]:
        """Return the quantiles."""
        return {"values": list(self.values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the quantiles."""
        self.values = tuple(state["values"])
