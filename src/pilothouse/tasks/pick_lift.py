"""Pick and lift in the plane: around an obstacle on either side, a gripper that must close in time and stay closed."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment, Expert
from pilothouse.tasks.tensor_world import TensorEnvironment, uniform

_SPEED, _RADIUS, _GRASP, _TOO_FAR, _HEIGHT = 0.08, 0.30, 0.10, 0.25, 0.85
# of the demonstrator: share of full speed, speed per distance that is left, height of the point it passes by
_PACE, _GAIN, _AROUND = 0.8, 2.5, 0.55


class PickLift(ControlTask):
    """Go around an obstacle, grip a thing and lift it, in the plane.

    Observation: position (2), where the thing is (2), whether it is held (1). Action: velocity (2), of which a step
    takes 0.08, and the gripper, closed when above 0. A disc of radius 0.30 lies at the origin between start and thing.
    Touching it, closing farther than 0.25 from the thing, or opening while holding fails at once; closed within 0.10
    holds; success is to hold above y = 0.85.

    Args:
        modes: how demonstrators pass the obstacle: "two" on a side drawn at random, "one" on the side they start on.
        noise: standard deviation of the demonstrators' velocity, in units of the action.
        jump: standard deviation of a jump of the thing, not yet held, at step ``jump_at``; 0 leaves it in place.
        jump_at: the step of that jump.
    """

    name: ClassVar[str] = "pick-lift"
    plane: ClassVar[tuple[int, int] | None] = (0, 1)

    modes: Literal["two", "one"] = "two"
    noise: Annotated[float, Field(ge=0)] = 0.1
    jump: Annotated[float, Field(ge=0)] = 0.0
    jump_at: Annotated[int, Field(ge=1)] = 20

    @property
    def observation_dim(self) -> int:
        """Position, place of the thing, held or not."""
        return 5

    @property
    def action_dim(self) -> int:
        """Velocity and gripper."""
        return 3

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return 80

    def make(self, n: int, seeds: SeedTree) -> Environment:
        """Return ``n`` points in as many planes."""
        return TensorEnvironment(self, n, seeds)

    def start(self, generator: torch.Generator) -> Tensor:
        """Draw position, place of the thing, and the jump that awaits it; then nothing held and no step taken."""
        places = uniform(generator, (-0.95, -0.85), (-0.25, 0.25), (0.75, 0.85), (-0.25, 0.25))
        leap = self.jump * torch.randn(2, generator=generator) if self.jump else torch.zeros(2)
        return torch.cat([places, torch.zeros(2), leap])

    def observe(self, states: Tensor) -> Tensor:
        """Everything is seen but the time and the jump to come."""
        return states[:, :5].clone()

    def advance(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Move, then grip; the reward is 1 for the success."""
        thing, held, time, leap = states[:, 2:4], states[:, 4] > 0, states[:, 5] + 1, states[:, 6:8]
        if self.jump:
            thing = thing + leap * ((time == self.jump_at) & ~held)[:, None]
        place = states[:, :2] + _SPEED * actions[:, :2].clamp(-1, 1)
        closed, away = actions[:, 2] > 0, (place - thing).norm(dim=1)
        holds = closed & (held | (away <= _GRASP))
        failed = (place.norm(dim=1) < _RADIUS) | (held & ~closed) | (closed & ~held & (away > _TOO_FAR))
        success = holds & (place[:, 1] > _HEIGHT) & ~failed
        after = torch.cat([place, thing, holds.float()[:, None], time[:, None], leap], 1)
        return after, success.float(), failed | success, success

    def expert(self, n: int, seeds: SeedTree) -> Expert:
        """Return demonstrators: to a point above or below the obstacle, to the thing, grip, up."""
        return _Around(self, n, seeds.torch())


class _Around:
    def __init__(self, task: PickLift, n: int, generator: torch.Generator) -> None:
        self._task, self._generator = task, generator
        self._sides = torch.where(torch.rand(n, generator=generator) < 0.5, -1.0, 1.0)
        self._begun, self._passed = False, torch.zeros(n, dtype=torch.bool)

    def act(self, observations: Tensor) -> Tensor:
        place, thing, held = observations[:, :2], observations[:, 2:4], observations[:, 4] > 0
        if not self._begun:
            self._begun = True
            if self._task.modes == "one":
                self._sides = torch.where(place[:, 1] < 0, -1.0, 1.0)
        around = torch.stack([torch.zeros_like(self._sides), _AROUND * self._sides], 1)
        self._passed |= (place - around).norm(dim=1) < _GRASP
        grips = held | (self._passed & ((place - thing).norm(dim=1) < 0.5 * _GRASP))
        above = torch.stack([thing[:, 0], torch.full_like(thing[:, 0], 1.2)], 1)
        target = torch.where(self._passed[:, None], thing, around)
        target = torch.where(held[:, None], above, target)
        wanted = _GAIN * (target - place)
        wanted = wanted * (_PACE / wanted.norm(dim=1, keepdim=True)).clamp(max=1.0)
        noise = self._task.noise * torch.randn(wanted.shape, generator=self._generator)
        return torch.cat([(wanted + noise).clamp(-1, 1), torch.where(grips, 1.0, -1.0)[:, None]], 1)
