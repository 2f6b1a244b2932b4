"""One step of fitting a chunk policy: what runs and policies made in Python share."""

from __future__ import annotations

import math

import torch

from pilothouse.control.chunks import ChunkBatch
from pilothouse.control.losses import ActionLoss
from pilothouse.core.errors import DivergedError
from pilothouse.policies.chunk import ChunkPolicy
from pilothouse.policies.ema import EMA
from pilothouse.training.optimizer import Optimizer


def fit_step(
    policy: ChunkPolicy,
    objective: ActionLoss,
    batch: ChunkBatch,
    optimizer: Optimizer,
    ema: EMA,
    step: int,
    draw: torch.Generator,
) -> dict[str, float]:
    """Take one step and return its loss, the gradient's norm and what the loss says.

    Args:
        policy: what is fitted.
        objective: what it minimises.
        batch: windows to learn from.
        optimizer: of the policy's parameters.
        ema: the average of its weights.
        step: which step it is, counted from 0.
        draw: every draw of the loss comes from it.

    Raises:
        DivergedError: loss or gradient is not finite; the weights are as they were.
    """
    policy.train()
    optimizer.zero_grad()
    loss, figures = objective(policy, batch, draw)
    loss.backward()
    norm, value = optimizer.clip(), float(loss.detach())
    if not math.isfinite(norm) or not math.isfinite(value):
        raise DivergedError(
            f"step {step + 1}: loss {value:.4g} and gradient norm {norm:.4g} are not both finite; the weights "
            "are as they were: resume with a lower --training.learning_rate"
        )
    optimizer.step(step)
    ema.update()
    return {"loss": value, "grad_norm": norm, **figures}
