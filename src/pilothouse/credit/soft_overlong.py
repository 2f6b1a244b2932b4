"""Soft overlong punishment: a reward that falls as a response nears its length limit."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.modifier import Modifier


def soft_overlong(lengths: Int[Tensor, " N"], max_length: int, buffer: int) -> Float[Tensor, " N"]:
    """Return 0 up to ``max_length - buffer`` tokens, -1 from ``max_length`` on, and a straight line between.

    Args:
        lengths: [N] response tokens.
        max_length: length at which the punishment is whole, in tokens.
        buffer: tokens over which it grows.

    Source: Yu et al. 2025 (DAPO), arXiv 2503.14476, equation 13.
    """
    return ((max_length - buffer - lengths) / buffer).clamp(-1.0, 0.0).to(torch.get_default_dtype())


class SoftOverlong(Modifier):
    """Adds DAPO's soft overlong punishment to the rewards that the inner credit sees.

    The paper punishes the last 4,096 of 20,480 tokens; the defaults keep that fifth at any limit.

    Args:
        max_length: length at which the punishment is whole, in tokens; 0 takes the sampler's limit.
        buffer: tokens over which it grows; 0 takes a fifth of ``max_length``.
        weight: reward taken off by the whole punishment.
    """

    name: ClassVar[str] = "soft-overlong"
    max_length: Annotated[int, Field(ge=0)] = 0
    buffer: Annotated[int, Field(ge=0)] = 0
    weight: Annotated[float, Field(ge=0)] = 1.0

    def before(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts with punished rewards."""
        limit = self.max_length or rollouts.max_length or rollouts.tokens.shape[1]
        punishment = soft_overlong(rollouts.lengths, limit, self.buffer or max(1, limit // 5))
        return rollouts.replace(rewards=rollouts.rewards + self.weight * punishment.to(rollouts.rewards.dtype))
