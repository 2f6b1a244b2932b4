"""Push-T: a disc pushes a T-shaped block onto its outline, in gym-pusht's simulator."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment
from pilothouse.tasks.gymnasium_world import GymnasiumEnvironment, needed


class PushT(ControlTask):
    """Push a T-shaped block onto its outline (gym-pusht, state); needs recorded episodes to learn from.

    Observation: the pusher (2), the block (2) and its angle, in pixels and radians. Action: where the pusher should go,
    in pixels of [0, 512]. Reward: share of the outline that is covered. Success: 95 % of it.
    """

    name: ClassVar[str] = "pusht"
    plane: ClassVar[tuple[int, int] | None] = (0, 1)

    @property
    def observation_dim(self) -> int:
        """Pusher, block and angle."""
        return 5

    @property
    def action_dim(self) -> int:
        """A place."""
        return 2

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """The square of the picture, in pixels."""
        return torch.zeros(2), torch.full((2,), 512.0)

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return 300

    def make(self, n: int, seeds: SeedTree) -> Environment:
        """Return ``n`` simulators."""
        needed("gym_pusht", "task 'pusht'")
        return GymnasiumEnvironment(_make, n, seeds)


def _make() -> Any:
    return needed("gymnasium", "task 'pusht'").make("gym_pusht/PushT-v0", obs_type="state")
