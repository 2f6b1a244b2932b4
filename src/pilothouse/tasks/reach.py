"""A point in the plane that is to come to a goal: the control task that trains in a minute."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment, Expert
from pilothouse.tasks.tensor_world import TensorEnvironment, uniform

_SPEED, _NEAR = 0.1, 0.05


class Reach(ControlTask):
    """Move a point in the plane to a goal.

    Observation: position (2) and goal (2), both within [-1, 1]. Action: velocity (2), a tenth of the unit a step.
    Success: within 0.05 of the goal.
    """

    name: ClassVar[str] = "reach"
    plane: ClassVar[tuple[int, int] | None] = (0, 1)

    @property
    def observation_dim(self) -> int:
        """Position and goal."""
        return 4

    @property
    def action_dim(self) -> int:
        """Velocity."""
        return 2

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return 40

    def make(self, n: int, seeds: SeedTree) -> Environment:
        """Return ``n`` points in as many planes."""
        return TensorEnvironment(self, n, seeds)

    def start(self, generator: torch.Generator) -> Tensor:
        """Draw position and goal."""
        return uniform(generator, *[(-0.9, 0.9)] * 4)

    def observe(self, states: Tensor) -> Tensor:
        """Everything is seen."""
        return states.clone()

    def advance(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Move; the reward is minus the distance that is left."""
        moved = states[:, :2] + _SPEED * actions.clamp(-1, 1)
        left = (moved - states[:, 2:]).norm(dim=1)
        arrived = left <= _NEAR
        return torch.cat([moved, states[:, 2:]], 1), -left, arrived, arrived

    def expert(self, n: int, seeds: SeedTree) -> Expert:
        """Return the straight way, with a noise of 0.1 on the velocity."""
        return _Straight(seeds.torch())


class _Straight:
    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def act(self, observations: Tensor) -> Tensor:
        wanted = (observations[:, 2:] - observations[:, :2]) / _SPEED
        wanted = wanted / wanted.norm(dim=1, keepdim=True).clamp(min=1.0)
        return (wanted + 0.1 * torch.randn(wanted.shape, generator=self._generator)).clamp(-1, 1)
