"""Push-T: a disc pushes a T-shaped block onto its outline, in gym-pusht's simulator."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment, Expert
from pilothouse.tasks.gymnasium_world import GymnasiumEnvironment, needed
from pilothouse.tasks.pusht_planner import PushPlanner, Scene, Simulator, follow


class PushT(ControlTask):
    """Push a T-shaped block onto its outline (gym-pusht).

    Observation: the pusher (2), then eight corners of the block's two bars (16) in pixels, or its place (2) and angle,
    which jumps from 2 pi to 0. Action: where the pusher should go, in pixels of [0, 512]. Reward: share of the outline
    that is covered, 1 from 95 % on. Success: 95 % of it.

    Args:
        sees: the block's corners or its pose.
    """

    name: ClassVar[str] = "pusht"
    plane: ClassVar[tuple[int, int] | None] = (0, 1)
    edition: ClassVar[str] = "1"

    sees: Literal["corners", "pose"] = "corners"

    @property
    def observation_dim(self) -> int:
        """Pusher and block."""
        return 18 if self.sees == "corners" else 5

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
        return GymnasiumEnvironment(_corners if self.sees == "corners" else _pose, n, seeds)

    def expert(self, n: int, seeds: SeedTree) -> Expert:
        """Return demonstrators that try every push in a simulator of their own; nothing about them is random."""
        return _Pushers(n)


class _Pushers:
    def __init__(self, n: int) -> None:
        self._slots = [_Pusher() for _ in range(n)]

    def act(self, observations: Tensor) -> Tensor:
        return torch.stack([slot.act(seen) for slot, seen in zip(self._slots, observations, strict=True)])


class _Pusher:
    """Makes one push after the other; looks where things are between two."""

    def __init__(self) -> None:
        self._planner = PushPlanner(Simulator(_pose().unwrapped))
        self._targets: list[np.ndarray] = []
        self._velocity = np.zeros(2)  # no observation tells it, but nothing ever disturbs the pusher
        self._last: tuple[Tensor, Tensor] | None = None

    def act(self, seen: Tensor) -> Tensor:
        if self._last is not None:
            before, action = (part.double().numpy() for part in self._last)
            if seen.equal(self._last[0]):  # the episode is over
                return self._last[1]
            self._velocity = np.array(follow(before[:2].tolist(), self._velocity, action.tolist())[-1])
        place = seen[:2].double().numpy()
        if not self._targets:
            self._targets = self._planner.plan(Scene(place, self._velocity, pose_of(seen))) or [place]
        action = torch.from_numpy(self._targets.pop(0)).float()
        self._last = seen, action
        return action


def pose_of(seen: Tensor) -> np.ndarray:
    """Return the block's place and angle [3] from what is seen, [18] or [5]."""
    numbers = seen.double().numpy()
    if len(numbers) == 5:
        return numbers[2:]
    left, right = numbers[2:4], numbers[4:6]  # the ends of the bar's outer edge
    return np.array([*((left + right) / 2), np.arctan2(*(right - left)[::-1])])


def _pose() -> Any:
    return _made("state")


def _corners() -> Any:
    # the pusher comes first: a dictionary of observations is flattened in the order of its names
    return needed("gymnasium.wrappers", "task 'pusht'").FlattenObservation(_made("environment_state_agent_pos"))


def _made(kind: str) -> Any:
    needed("gym_pusht", "task 'pusht'")
    return needed("gymnasium", "task 'pusht'").make("gym_pusht/PushT-v0", obs_type=kind)
