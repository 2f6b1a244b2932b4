"""Push-T: a disc pushes a T-shaped block onto its outline, in gym-pusht's simulator."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment, Expert
from pilothouse.tasks.gymnasium_world import GymnasiumEnvironment, needed
from pilothouse.tasks.pusht_block import misplaced
from pilothouse.tasks.pusht_planner import PushPlanner, Scene, Simulator, follow

_NEAR = 25.0  # pixels of error within which demonstrators act without noise


class PushT(ControlTask):
    """Push a T-shaped block onto its outline (gym-pusht).

    Observation: the pusher (2), then eight corners of the block's two bars (16) in pixels, or its place (2) and angle,
    which jumps from 2 pi to 0. Action: where the pusher should go, in pixels of [0, 512]. Reward: share of the outline
    that is covered, 1 from 95 % on. Success: 95 % of it.

    Args:
        sees: the block's corners or its pose.
        noise: standard deviation in pixels of the demonstrators' actions while the block is far from home.
    """

    name: ClassVar[str] = "pusht"
    plane: ClassVar[tuple[int, int] | None] = (0, 1)
    edition: ClassVar[str] = "1"

    sees: Literal["corners", "pose"] = "corners"
    noise: Annotated[float, Field(ge=0)] = 6.0

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
        """Return demonstrators that try every push in a simulator of their own, and act with some noise."""
        return _Pushers(n, self.noise, seeds)


class _Pushers:
    def __init__(self, n: int, noise: float, seeds: SeedTree) -> None:
        self._slots = [_Pusher(noise, (seeds / slot).numpy()) for slot in range(n)]

    def act(self, observations: Tensor) -> Tensor:
        return torch.stack([slot.act(seen) for slot, seen in zip(self._slots, observations, strict=True)])


class _Pusher:
    """Makes one push after the other, and looks every few steps where things are."""

    def __init__(self, noise: float, draws: np.random.Generator) -> None:
        self._planner = PushPlanner(Simulator(_pose().unwrapped))
        self._noise, self._draws = noise, draws
        self._targets: list[np.ndarray] = []
        self._aim: tuple[np.ndarray, np.ndarray] | None = None  # last target and direction of the push that goes on
        self._velocity = np.zeros(2)  # no observation tells it, but nothing ever disturbs the pusher
        self._last: tuple[Tensor, Tensor] | None = None

    def act(self, seen: Tensor) -> Tensor:
        if self._last is not None:
            if seen.equal(self._last[0]):  # the episode is over
                return self._last[1]
            before, action = (part.double().tolist() for part in self._last)
            self._velocity = np.array(follow(before[:2], self._velocity, action)[-1])
        scene = Scene(seen[:2].double().numpy(), self._velocity, pose_of(seen))
        if not self._targets:
            self._look(scene)
        wanted = self._targets.pop(0)
        if misplaced(scene.pose) > _NEAR:
            wanted = (wanted + self._noise * self._draws.standard_normal(2)).clip(0, 512)
        action = torch.from_numpy(wanted).float()
        self._last = seen, action
        return action

    def _look(self, scene: Scene) -> None:
        """Go on with the push, or begin another one."""
        found = None if self._aim is None else self._planner.steer(scene, *self._aim)
        if found is None or not found.targets:
            found = self._planner.plan(scene)
        self._targets = found.targets or [scene.place]
        self._aim = None if found.inwards is None else (found.targets[-1], found.inwards)


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
