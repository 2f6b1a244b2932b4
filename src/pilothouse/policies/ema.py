"""Weights averaged over training: an exponential mean whose memory grows with the steps taken."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class EMA:
    """The average of a module's parameters, with decay ``min(limit, 1 - (1 + step)^-power)``.

    Args:
        module: what is averaged; its buffers are not.
        power: 0.75 suits some ten thousand steps, 2/3 more.
        limit: largest decay.
    """

    def __init__(self, module: nn.Module, power: float = 0.75, limit: float = 0.9999) -> None:
        self.module, self.power, self.limit, self.steps = module, power, limit, 0
        self.average = {name: p.detach().clone() for name, p in module.named_parameters()}

    @property
    def decay(self) -> float:
        """The weight of the past in the next update."""
        return min(self.limit, 1 - (1 + self.steps) ** -self.power)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the parameters as they are."""
        decay = self.decay
        for name, parameter in self.module.named_parameters():
            self.average[name].lerp_(parameter, 1 - decay)
        self.steps += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module act with the average within the block."""
        own = {name: p.detach().clone() for name, p in self.module.named_parameters()}
        _put(self.module, self.average)
        try:
            yield
        finally:
            _put(self.module, own)

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates."""
        return {"average": self.average, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.average = {name: tensor.clone() for name, tensor in state["average"].items()}
        self.steps = int(state["steps"])


@torch.no_grad()
def _put(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(values[name])
