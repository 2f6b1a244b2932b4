"""Predictive sampling: draw enough prompts at once that, after filtering, the batch is full."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, PrivateAttr, model_validator

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select


def oversampling_factor(shares: Sequence[float], initial: float = 1.5, low: float = 1.2, high: float = 5.0) -> float:
    """Return ``(1 / mean) (1 + std)`` of the shares of prompts that were kept lately, between two bounds.

    Args:
        shares: kept over attempted prompts, a number a step; the std is the population's.
        initial: the factor before anything was seen.
        low: smallest factor.
        high: largest factor, also when nothing was kept.

    Source: arXiv 2601.03969, predictive dynamic sampling, as in the authors' code.
    """
    if not shares:
        return initial
    mean = statistics.fmean(shares)
    return high if mean == 0 else min(max((1 + statistics.pstdev(shares)) / mean, low), high)


class PredictiveSampling(Select):
    """Attempts more prompts than a step trains on, as many as the last steps say are needed; silences the surplus.

    Comes after what silences groups: "zero-variance + predictive-sampling". Where too few groups are left the batch is
    smaller (copies without loss, which the authors' code pads it with, would change nothing).

    Args:
        window: steps that the forecast looks back on.
        initial: prompts drawn at the first step, as a multiple of those trained on.
        low: smallest multiple.
        high: largest multiple.
    """

    name: ClassVar[str] = "predictive-sampling"
    draws_ahead: ClassVar[bool] = True
    window: Annotated[int, Field(ge=1)] = 20
    initial: Annotated[float, Field(ge=1)] = 1.5
    low: Annotated[float, Field(ge=1)] = 1.2
    high: Annotated[float, Field(ge=1)] = 5.0
    _shares: deque[float] = PrivateAttr(default_factory=deque[float])
    _wanted: int = PrivateAttr(default=0)
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    @model_validator(mode="after")
    def _ordered(self) -> PredictiveSampling:
        if self.low > self.high:
            raise ValueError(f"low {self.low} must not be above high {self.high}")
        return self

    def factor(self) -> float:
        """Return the multiple of the next step."""
        return oversampling_factor(self._shares, self.initial, self.low, self.high)

    def prompts(self, wanted: int) -> int:
        """Return how many prompts to attempt at the next step so that about ``wanted`` are kept."""
        self._wanted = wanted
        return int(wanted * self.factor())

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Note the share of groups that are left, and silence those beyond the number asked for."""
        alive = rollouts.train_mask.any(dim=1)
        labels = sorted({int(group) for group in rollouts.groups[alive]})
        drawn = rollouts.n_groups
        self._figures = {"oversampling": self.factor(), "kept_groups": len(labels) / max(drawn, 1)}
        self._shares.append(len(labels) / max(drawn, 1))
        while len(self._shares) > self.window:
            self._shares.popleft()
        if not self._wanted or len(labels) <= self._wanted:
            return rollouts
        first = torch.isin(rollouts.groups, torch.tensor(labels[: self._wanted]))
        return rollouts.replace(train_mask=rollouts.train_mask & first[:, None])

    def figures(self) -> dict[str, float]:
        """Return the multiple of the last step and the share of its groups that were left."""
        return self._figures

    def state_dict(self) -> dict[str, Any]:
        """Return the shares that the forecast rests on."""
        return {"shares": list(self._shares)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the shares."""
        self._shares = deque(state["shares"])
