"""Reward noise: how a credit fares when the verifier is a little unsure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field, PrivateAttr
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.modifier import Modifier


class RewardNoise(Modifier):
    """Adds independent Gaussian noise to every reward that the inner credit sees.

    Batch b draws from child b of the part's own seed; the count of batches is part of the checkpoint, so a resumed run
    draws what the uninterrupted run drew.

    Args:
        std: standard deviation of the noise, in units of the reward.
        seed: root of the noise's seed tree.
    """

    name: ClassVar[str] = "reward-noise"
    std: Annotated[float, Field(ge=0)] = 0.0
    seed: Annotated[int, Field(ge=0)] = 0
    _batches: int = PrivateAttr(default=0)

    def before(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts with this batch's noise on their rewards."""
        generator = (SeedTree(self.seed) / "reward-noise" / self._batches).torch()
        noise = torch.randn(rollouts.rewards.shape, generator=generator)
        return rollouts.replace(rewards=rollouts.rewards + self.std * noise)

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the inner credit's weights on the next batch."""
        self._batches += 1
        return super().__call__(rollouts)

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were seen, and the inner credit's state."""
        return {"batches": self._batches, "of": self.of.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore count and inner state."""
        self._batches = state["batches"]
        self.of.load_state_dict(state["of"])
