"""AdamW on float32 master weights, whatever precision the network computes in, with its schedule and clipping."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from pilothouse.training.recipe import LoopSettings


def default_learning_rate(trainable: int, adapters: bool, updates: int) -> float:
    """Return a learning rate by model size: small models need and bear larger ones; adapters ten times more.

    Args:
        trainable: parameters of the whole network.
        adapters: whether only low-rank adapters train.
        updates: optimiser steps per batch of rollouts, which share the rate between them.
    """
    rate = 1e-3 if trainable < 20e6 else 5e-6 if trainable < 1e9 else 1e-6
    return (rate * 10 if adapters else rate) / updates


class Optimizer:
    """One optimiser over the trainable parameters.

    AdamW at the small learning rates of reinforcement learning loses its updates in bfloat16 rounding, so parameters
    of lower precision get a float32 copy that is optimised and copied back.

    Args:
        parameters: trainable parameters by name.
        settings: learning rate (already resolved), schedule, decay, clipping.
    """

    def __init__(self, parameters: dict[str, nn.Parameter], settings: LoopSettings) -> None:
        self.parameters, self.settings = list(parameters.values()), settings
        self.masters = [p if p.dtype == torch.float32 else p.detach().float().clone() for p in self.parameters]
        self.adamw = torch.optim.AdamW(
            self.masters,
            lr=settings.learning_rate,
            betas=settings.betas,
            weight_decay=settings.weight_decay,
            fused=True,
        )

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        s = self.settings
        if step < s.warmup_steps:
            return s.learning_rate * (step + 1) / s.warmup_steps
        progress = (step - s.warmup_steps) / max(1, s.steps - s.warmup_steps)
        if s.schedule == "linear":
            return s.learning_rate * max(0.0, 1 - progress)
        if s.schedule == "cosine":
            return s.learning_rate * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        return s.learning_rate

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            parameter.grad = None

    def clip(self) -> float:
        """Scale gradients down to the norm limit and return their norm before."""
        limit = self.settings.max_grad_norm or math.inf
        return float(torch.nn.utils.clip_grad_norm_(self.parameters, limit))

    def step(self, step: int) -> None:
        """Apply the gradients at the learning rate of ``step``."""
        for group in self.adamw.param_groups:
            group["lr"] = self.learning_rate(step)
        for parameter, master in zip(self.parameters, self.masters, strict=True):
            if master is not parameter:
                master.grad = None if parameter.grad is None else parameter.grad.float()
        self.adamw.step()
        with torch.no_grad():
            for parameter, master in zip(self.parameters, self.masters, strict=True):
                if master is not parameter:
                    parameter.copy_(master)

    def state_dict(self) -> dict[str, Any]:
        """Return moments and master copies."""
        copies = [None if m is p else m for p, m in zip(self.parameters, self.masters, strict=True)]
        return {"adamw": self.adamw.state_dict(), "masters": copies}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.adamw.load_state_dict(state["adamw"])
        with torch.no_grad():
            for master, saved in zip(self.masters, state["masters"], strict=True):
                if saved is not None:
                    master.copy_(saved)
