"""Imitation of what turned out right, with a search's findings as targets for a value head."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.whitened import live_tokens


def right(rollouts: Rollouts) -> Bool[Tensor, " N"]:
    """Return which responses are right: judged, with a reward above 0, and ended by the policy itself."""
    return (rollouts.rewards > 0) & ~rollouts.truncated


class Imitation(Credit):
    """Weight 1 on the tokens of right responses, 0 on all others; targets for values where a search left them.

    Wrong responses teach the policy nothing but a value head all the same (AlphaMath, Chen et al. 2024, arXiv
    2405.03553, equation 8). A target belongs to the state after the last token of a step, and is what
    ``Rollouts.segment_values`` holds there: the Q that the search found, the outcome at the end.
    """

    name: ClassVar[str] = "imitation"
    teaches: ClassVar[Literal["", "values", "values_after"]] = "values_after"

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return 1 on the trained tokens of right responses."""
        return (live_tokens(rollouts) & right(rollouts)[:, None]).float()

    def returns(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the search's values at the ends of steps that train, NaN elsewhere."""
        return torch.where(live_tokens(rollouts), rollouts.segment_values, torch.nan)
