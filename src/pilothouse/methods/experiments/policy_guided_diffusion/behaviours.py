"""Policies of middling skill that record the data sets: scripted controllers with noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pilothouse.control.offline_data import OfflineData
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import Demonstrations
from pilothouse.tasks.drift import Drift
from pilothouse.tasks.gym import Gym
from pilothouse.tasks.playing import play


@dataclass(frozen=True)
class World:
    """An environment with the policy that records its data.

    Args:
        task: the environment.
        controller: from observations [N, D] to actions [N, A] in the task's units, before the noise.
        noise: standard deviation of the noise on an action, in the task's units.
    """

    task: ControlTask
    controller: Callable[[Tensor], Tensor]
    noise: float

    def record(self, transitions: int, seeds: SeedTree) -> OfflineData:
        """Return whole episodes, as many as hold ``transitions`` steps, the last one cut off there."""
        episodes, steps, lot = [], 0, 0
        while steps < transitions:
            draws = (seeds / "noise" / lot).torch()

            def act(seen: Tensor, live: Tensor, draws: torch.Generator = draws) -> Tensor:
                wanted = self.controller(seen)
                return wanted + self.noise * torch.randn(wanted.shape, generator=draws)

            for one in play(self.task.make(16, seeds / "episodes" / lot), act, self.task.bounds):
                if steps < transitions:
                    episodes.append(one)
                    steps += len(one)
            lot += 1
        return OfflineData.of(self.task, Demonstrations.of(episodes))


def _wavering(seen: Tensor) -> Tensor:
    """Half-heartedly towards the origin, which is not the goal."""
    return (-0.5 * seen).tanh()


def _swinging(seen: Tensor) -> Tensor:
    """Pump energy into a pendulum; near the top hold it there, weakly."""
    cosine, sine, speed = seen.T
    angle = torch.atan2(sine, cosine)
    lacking = 10 * (1 - cosine) - 0.5 * speed.square()
    pump = torch.where(lacking > 0, 1.0, -1.0) * torch.where(speed >= 0, 1.0, -1.0)
    hold = -6 * angle - 1.5 * speed
    return torch.where(cosine > 0.8, hold, pump).clamp(-2, 2)[:, None]


def _balancing(seen: Tensor) -> Tensor:
    """Keep a pole up for a while, with too little feedback on its speed."""
    _, angle, _, turning = seen.T
    return (3.0 * angle + 0.3 * turning)[:, None]


WORLDS = {
    "drift": World(Drift(), _wavering, 0.5),
    "Pendulum-v1": World(Gym(environment="Pendulum-v1"), _swinging, 1.0),
    "InvertedPendulum-v5": World(Gym(environment="InvertedPendulum-v5"), _balancing, 0.5),
}
