"""Modifiers: credits around another credit, which change the rewards before it or the weights after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from pilothouse.core.parts import SLOT
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.grpo import GRPO


class Modifier(Credit):
    """A credit that leaves the work to another one.

    Args:
        of: the credit inside.
    """

    of: Annotated[Credit, SLOT] = GRPO()

    def before(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts that the inner credit sees."""
        return rollouts

    def after(self, weights: Float[Tensor, "N T"], rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the weights that the objective sees."""
        return weights

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the inner credit's weights, modified."""
        return self.after(self.of(self.before(rollouts)), rollouts)

    def returns(self, rollouts: Rollouts) -> Float[Tensor, "N T"] | None:
        """Return the inner credit's targets."""
        return self.of.returns(self.before(rollouts))

    def teaches_values(self) -> str:
        """Return what the inner credit's targets are for."""
        return self.of.teaches_values()

    def requirements(self) -> frozenset[str]:
        """Return what the inner credit needs."""
        return self.of.requirements()

    def compares_within_groups(self) -> bool:
        """Return whether the inner credit compares within groups."""
        return self.of.compares_within_groups()

    def labels_read(self) -> frozenset[str]:
        """Return what the inner credit reads."""
        return self.reads_labels | self.of.labels_read()

    def problems_needed(self) -> int:
        """Return what the inner credit needs."""
        return self.of.problems_needed()

    def scale_matters(self) -> bool:
        """Return whether the inner credit's scale matters."""
        return self.of.scale_matters()

    def figures(self) -> dict[str, float]:
        """Return the inner credit's figures."""
        return self.of.figures()

    def state_dict(self) -> dict[str, Any]:
        """Return the inner credit's state."""
        return self.of.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the inner credit's state."""
        self.of.load_state_dict(state)


class RewardClip(Modifier):
    """Bounds each reward before the inner credit sees it.

    Args:
        low: smallest reward.
        high: largest reward.
    """

    name: ClassVar[str] = "reward-clip"
    low: float = -10.0
    high: float = 10.0

    @model_validator(mode="after")
    def _ordered(self) -> RewardClip:
        if self.low >= self.high:
            raise ValueError(f"low {self.low} must be below high {self.high}")
        return self

    def before(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts with bounded rewards."""
        return rollouts.replace(rewards=rollouts.rewards.clamp(self.low, self.high))


class WeightClip(Modifier):
    """Bounds the inner credit's weights to ``[-limit, limit]``.

    Args:
        limit: largest magnitude.
    """

    name: ClassVar[str] = "weight-clip"
    limit: Annotated[float, Field(gt=0)] = 5.0

    def after(self, weights: Float[Tensor, "N T"], rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the bounded weights."""
        return weights.clamp(-self.limit, self.limit)
