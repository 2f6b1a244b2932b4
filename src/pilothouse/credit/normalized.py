"""The critic-free family: one weight an episode, its reward made relative to a mean and a scale of your choice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from jaxtyping import Float
from pydantic import Field, PrivateAttr
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.normalize import Mean, Running, Std, normalize_advantage


class Normalized(Credit):
    """Every trained token of an episode weighs ``(r - mean) / (std + eps)``; see ``normalize_advantage``.

    "running" statistics take in each batch before it is normalised, so call it once a step; they are part of the
    checkpoint.

    Args:
        mean: baseline, of "group", "batch", "none", "running", "loo".
        std: scale of the raw rewards, of "group", "batch", "none", "running".
        eps: added to the std.
        ddof: degrees of freedom taken off the variance's denominator; 1 gives the sample std.
    """

    name: ClassVar[str] = "normalized"
    mean: Mean = "group"
    std: Std = "batch"
    eps: Annotated[float, Field(ge=0)] = 1e-6
    ddof: Annotated[int, Field(ge=0, le=1)] = 1
    _running: Running = PrivateAttr(default_factory=Running)

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return each episode's advantage on its trained tokens."""
        rewards, counts = rollouts.rewards, rollouts.stats_mask
        if "running" in (self.mean, self.std):
            self._running.update(rewards[counts & rewards.isfinite()])
        advantage = normalize_advantage(
            rewards,
            rollouts.groups,
            mean=self.mean,
            std=self.std,
            eps=self.eps,
            ddof=self.ddof,
            stats_mask=counts,
            running=self._running,
        )
        return advantage[:, None] * rollouts.train_mask

    def compares_within_groups(self) -> bool:
        """Return whether the mean or the std is taken within the group."""
        return self.mean in ("group", "loo") or self.std == "group"

    def state_dict(self) -> dict[str, Any]:
        """Return the running statistics, where they are used."""
        return dict(vars(self._running)) if "running" in (self.mean, self.std) else {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the running statistics."""
        self._running = Running(**state)
