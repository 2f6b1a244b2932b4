"""A demonstrator of Push-T that tries every push in a simulator of its own before it makes one.

A push goes around the block without touching it to a point before its outline, straight in from there, and ends at one
of many depths. All pushes are tried from where things are; the best few are judged by the best push that could follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pilothouse.tasks.pusht_block import CLEAR, RADIUS, Ways, contacts, misplaced, to_block, to_world, turned

_PACE, _PUSH, _DEEPEST = 20.0, 10.0, 210.0  # pixels a step around the block and into it; pixels
_SETTLE = 2  # steps at a push's end, in which the pusher, some two steps behind its target, arrives
_FOLLOWED = 3  # pushes that are judged by what could follow
_WORSE = 15.0  # pixels past its best that a push is tried on
_LOOK = 4  # steps of a push between two looks
_TURNS = (0.0, -0.25, 0.25, -0.5, 0.5)  # radians that a push may turn at each look


Pair: TypeAlias = Iterable[float]  #: x and y


@dataclass(frozen=True)
class Scene:
    """What the simulator's next steps depend on.

    Args:
        place: [2] of the pusher.
        velocity: [2] of the pusher, in pixels a second.
        pose: [3] of the block.
    """

    place: np.ndarray
    velocity: np.ndarray
    pose: np.ndarray


@dataclass(frozen=True)
class Push:
    """A push that was tried.

    Args:
        cost: steps it takes and those that are left to do after it, as far as these are known.
        steps: it takes.
        approach: targets [2] of the pusher until it stands before the block.
        start: [2] the target from which it goes in.
        inwards: [2] the direction of the push.
        depth: pixels in that direction.
        after: what it leads to.
    """

    cost: float
    steps: int
    approach: list[np.ndarray]
    start: np.ndarray
    inwards: np.ndarray
    depth: float
    after: Scene

    def targets(self, depth: float) -> list[np.ndarray]:
        """Return all targets of the pusher for this push, but to another depth."""
        ends = [min(depth, _PUSH * (k + 1)) for k in range(math.ceil(depth / _PUSH))] + [depth] * _SETTLE
        return self.approach + [_within(self.start + self.inwards * end) for end in ends]


@dataclass(frozen=True)
class Steered:
    """How a push goes on.

    Args:
        targets: of the pusher in the next steps; none if the push is over.
        inwards: [2] the direction of the push by now; ``None`` if it ends with these targets.
    """

    targets: list[np.ndarray]
    inwards: np.ndarray | None


def follow(place: Pair, velocity: Pair, target: Pair) -> list[tuple[float, float]]:
    """Return the pusher's velocity in each of a step's ten ticks towards a target: gym-pusht's spring and damper."""
    (x, y), (u, v), (to_x, to_y) = place, velocity, target
    ticks = list[tuple[float, float]]()
    for _ in range(10):
        u, v = u + (100 * (to_x - x) - 20 * u) * 0.01, v + (100 * (to_y - y) - 20 * v) * 0.01
        x, y = x + u * 0.01, y + v * 0.01
        ticks.append((u, v))
    return ticks


def left_to_do(pose: np.ndarray) -> float:
    """Return about how many steps it takes to bring the block home: so much a pixel, and more for the last ones."""
    error = misplaced(pose)
    return error / 1.5 + 15 * math.log(1 + error / 2)


class Simulator:
    """A copy of Push-T to try pushes in.

    Args:
        world: a fresh gym-pusht environment, without wrappers, that nobody else uses.
    """

    def __init__(self, world: Any) -> None:
        world.reset(seed=0)
        for shape in world.space.shapes:
            shape.collision_type = 1  # of type 0 are those whose contacts are counted, in vain here and slowly
        self._space, self._pusher, self._block = world.space, world.agent, world.block

    def set(self, scene: Scene) -> None:
        """Put everything where the scene says."""
        self._pusher.position, self._pusher.velocity = tuple(scene.place.tolist()), tuple(scene.velocity.tolist())
        self._block.velocity, self._block.angular_velocity = (0, 0), 0
        self._block.angle = float(scene.pose[2])  # turns about the centre of mass, which moves the place: so before it
        self._block.position = tuple(scene.pose[:2].tolist())

    def step(self, target: np.ndarray) -> None:
        """Take one step of the environment towards a target."""
        for tick in follow(self._pusher.position, self._pusher.velocity, target.tolist()):
            self._pusher.velocity = tick
            self._space.step(0.01)

    def scene(self) -> Scene:
        """Return what it has come to."""
        pose = np.array([*self._block.position, self._block.angle])
        return Scene(np.array(self._pusher.position), np.array(self._pusher.velocity), pose)


class PushPlanner:
    """Chooses pushes and steers them.

    Args:
        simulator: to try them in.
    """

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        points, self._inwards = contacts()
        self._ways = Ways(points - self._inwards * CLEAR)

    def plan(self, scene: Scene) -> Steered:
        """Return how the next push begins; no targets where the pusher has no way to the block."""
        tried = self._tried(scene)
        return self._begun(scene, min(tried[:_FOLLOWED], key=self._with_next)) if tried else Steered([], None)

    def steer(self, scene: Scene, target: np.ndarray, inwards: np.ndarray) -> Steered:
        """Return how to go on with a push: as before or a little to a side, whichever leaves the least to do.

        Args:
            scene: how things are.
            target: [2] of the pusher by now.
            inwards: [2] the direction of the push by now.
        """
        pushes = [self._try(scene, [], target, turned(inwards, turn)) for turn in _TURNS]
        best = min((push for push in pushes if push is not None), key=lambda push: push.cost, default=None)
        if best is None or best.cost >= left_to_do(scene.pose):
            return Steered([], None)
        return self._begun(scene, best)

    def _begun(self, scene: Scene, push: Push) -> Steered:
        """The first steps of a push, or all of them if there are no more."""
        if push.depth > _LOOK * _PUSH:
            return Steered(push.targets(push.depth)[: len(push.approach) + _LOOK], push.inwards)
        ends = [push.targets(push.depth + change) for change in (0, -4, -2, 2, 4)]
        return Steered(min(ends, key=lambda targets: self._error_after(scene, targets)), None)

    def _tried(self, scene: Scene) -> list[Push]:
        """The pushes that move the block, each to its best depth, cheapest first."""
        directions = turned(self._inwards, scene.pose[2])
        ways = self._ways.to_places(to_block(scene.pose, scene.place), scene.pose)
        pushes = list[Push | None]()
        for way, inwards in zip(ways, directions, strict=True):
            if way is not None:
                approach = _walk(scene.place, to_world(scene.pose, way))
                pushes.append(self._try(scene, approach, approach[-1], inwards))
        return sorted((push for push in pushes if push is not None), key=lambda push: push.cost)

    def _try(self, scene: Scene, approach: list[np.ndarray], start: np.ndarray, inwards: np.ndarray) -> Push | None:
        """Push in one direction as long as it helps, and return its best depth."""
        self._simulator.set(scene)
        for target in approach:
            self._simulator.step(target)
        before, lowest, best = misplaced(scene.pose), math.inf, None
        for count in range(1, int(_DEEPEST / _PUSH) + 1):
            self._simulator.step(_within(start + inwards * _PUSH * count))
            after, steps = self._simulator.scene(), len(approach) + count
            cost, error = steps + left_to_do(after.pose), misplaced(after.pose)
            depth = float((after.place - start) @ inwards)
            moved = abs(error - before) >= 0.3 or depth > CLEAR - RADIUS + 3
            if moved and (best is None or cost < best.cost):
                best = Push(cost, steps, approach, start, inwards, depth, after)
            lowest = min(lowest, error)
            if error > lowest + _WORSE:
                break
        return best

    def _with_next(self, push: Push) -> float:
        """The cost of a push if the best one follows it, or none if that is cheaper."""
        after = self._tried(Scene(push.after.place, np.zeros(2), push.after.pose))
        return min([push.cost, *(push.steps + one.cost for one in after[:1])])

    def _error_after(self, scene: Scene, targets: list[np.ndarray]) -> float:
        self._simulator.set(scene)
        for target in targets:
            self._simulator.step(target)
        return misplaced(self._simulator.scene().pose)


def _within(target: np.ndarray) -> np.ndarray:
    return target.clip(0.0, 512.0)


def _walk(start: np.ndarray, way: np.ndarray) -> list[np.ndarray]:
    """Targets along a way at an even pace; the last one twice, so that the pusher has all but arrived."""
    targets, place = list[np.ndarray](), start
    for turn in way:
        count = max(1, math.ceil(float(np.linalg.norm(turn - place)) / _PACE))
        targets += [_within(place + (turn - place) * (k + 1) / count) for k in range(count)]
        place = turn
    return [*targets, targets[-1]]
