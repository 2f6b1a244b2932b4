"""A learner at the controls of several slots: one network call an action."""

from __future__ import annotations

import torch
from torch import Tensor

from pilothouse.control.learner import Learner
from pilothouse.control.receding import Effort


class LearnerControl:
    """Acts with a learner's best known action.

    Args:
        learner: what acts.
        slots: episodes side by side.
    """

    def __init__(self, learner: Learner, slots: int) -> None:
        self.learner, self.slots, self.effort = learner, slots, Effort()

    def reset(self, slots: Tensor | None = None) -> None:
        """Nothing is remembered from one step to the next."""

    def act(self, observations: Tensor, active: Tensor | None = None) -> Tensor:
        """Return the actions [N, A] for ``observations`` [N, D]; those of slots not ``active`` mean nothing."""
        count = self.slots if active is None else int(torch.count_nonzero(active))
        self.effort.plans += count
        self.effort.calls += count
        return self.learner.act(observations)
