"""A point that drifts: a smooth system in the plane whose true step is known, to judge made-up trajectories by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment, Expert
from pilothouse.tasks.demonstrations import Demonstrations
from pilothouse.tasks.playing import play
from pilothouse.tasks.tensor_world import TensorEnvironment, uniform

_GOAL = (0.8, 0.0)


class Drift(ControlTask):
    """Hold a drifting point at (0.8, 0): s' = s + 0.1 (y, -sin 2x - 0.3 y) + 0.15 a.

    Observation: the point (2), which starts within [-1.5, 1.5] in both coordinates. Action: a push (2). The reward is
    minus the squared distance from the goal; nothing ends an episode early and nothing counts as success. Recorded
    episodes come from a wavering policy, a = tanh(-0.5 s + 0.5 n) with n standard normal, which is no expert.

    Args:
        steps: of an episode.
    """

    name: ClassVar[str] = "drift"
    plane: ClassVar[tuple[int, int] | None] = (0, 1)

    steps: Annotated[int, Field(ge=1)] = 40

    @property
    def observation_dim(self) -> int:
        """The point."""
        return 2

    @property
    def action_dim(self) -> int:
        """The push."""
        return 2

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return self.steps

    def make(self, n: int, seeds: SeedTree) -> Environment:
        """Return ``n`` points."""
        return TensorEnvironment(self, n, seeds)

    def start(self, generator: torch.Generator) -> Tensor:
        """Draw the point."""
        return uniform(generator, *[(-1.5, 1.5)] * 2)

    def observe(self, states: Tensor) -> Tensor:
        """Everything is seen."""
        return states.clone()

    def advance(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Move; the reward looks at where the point came to."""
        moved = self.true_step(states, actions)
        none = torch.zeros(len(states), dtype=torch.bool)
        reward = -(moved - moved.new_tensor(_GOAL)).square().sum(1)
        return moved, reward, none, torch.full_like(reward, float("nan"))

    @staticmethod
    def true_step(states: Tensor, actions: Tensor) -> Tensor:
        """Return the next points [N, 2] of points [N, 2] under pushes [N, 2]."""
        x, y = states.T
        drift = torch.stack([y, -torch.sin(2 * x) - 0.3 * y], dim=1)
        return states + 0.1 * drift + 0.15 * actions.clamp(-1, 1)

    def behaviour(self, seeds: SeedTree) -> Expert:
        """Return the wavering policy, for any number of slots."""
        return _Wavering(seeds.torch())

    def demonstrations(
        self, count: int, seeds: SeedTree, progress: Callable[[int, int], None] | None = None
    ) -> Demonstrations:
        """Return ``count`` episodes of the wavering policy, or those saved in ``data``."""
        if self.data:
            return super().demonstrations(count, seeds, progress)
        policy = self.behaviour(seeds / "policy")
        world = self.make(count, seeds / "world")
        return Demonstrations.of(play(world, lambda seen, _: policy.act(seen), self.bounds))

    def source(self) -> str:
        """Return one line that says where the episodes come from."""
        return self.data or "a wavering policy"


class _Wavering:
    def __init__(self, generator: torch.Generator) -> None:
        self._generator = generator

    def act(self, observations: Tensor) -> Tensor:
        noise = torch.randn(observations.shape, generator=self._generator)
        return (0.5 * noise - 0.5 * observations).tanh()
