"""Push-T: geometry worked by hand, pushes that are tried in a copy, a demonstrator that fulfils the task."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.playing import play
from pilothouse.tasks.pusht import pose_of
from pilothouse.tasks.pusht_block import CLEAR, CORNERS, GOAL, RADIUS, Ways, contacts, distance, misplaced, to_block
from pilothouse.tasks.pusht_planner import PushPlanner, Scene, Simulator, follow

HOME = np.array([256.0, 256.0, 0.0])


def simulated(seed: int = 0) -> Any:
    gymnasium = pytest.importorskip("gymnasium")
    pytest.importorskip("gym_pusht")
    world = gymnasium.make("gym_pusht/PushT-v0", obs_type="state").unwrapped
    world.reset(seed=seed)
    return world


def scene(place: tuple[float, float], pose: np.ndarray) -> Scene:
    return Scene(np.array(place), np.zeros(2), pose)


@pytest.mark.parametrize(
    ("point", "away"),
    [
        ((0, 10), 0),  # in the bar
        ((0, 110), 0),  # in the stem
        ((0, -7), 7),  # beyond the bar
        ((63, 34), 5),  # off a corner: 3, 4, 5
        ((40, 40), 10),  # beside the stem by 25, beyond the bar by 10
        ((20, 45), 5),  # beside the stem by 5, beyond the bar by 15
        ((18, 124), 5),
    ],
)
def test_distance_from_the_block(point: tuple[float, float], away: float) -> None:
    assert distance(np.array(point, float)) == pytest.approx(away)


def test_error_is_that_of_the_corners() -> None:
    assert misplaced(GOAL) == 0
    assert misplaced(GOAL + np.array([3, 4, 0])) == pytest.approx(5)
    radius = math.sqrt((CORNERS**2).sum(1).mean())  # a turn about the place moves a corner by 2 sin(half) its radius
    assert misplaced(GOAL + np.array([0, 0, 0.2])) == pytest.approx(2 * math.sin(0.1) * radius)


def test_the_outline_is_pushed_where_the_pusher_touches_one_side_alone() -> None:
    points, inwards = contacts(15)
    top = points[inwards[:, 1] == 1]
    assert top.tolist() == [[x, 0] for x in (-52.5, -37.5, -22.5, -7.5, 7.5, 22.5, 37.5, 52.5)]
    # the bar's outer edge, its ends, its inner edges, the stem's sides, the stem's end
    assert len(points) == 8 + 2 * 2 + 2 * 1 + 2 * 4 + 2
    for point, inward in zip(points, inwards, strict=True):
        assert distance(point) == pytest.approx(0)
        assert distance(point + 0.1 * inward) == 0
        assert distance(point - RADIUS * inward) == pytest.approx(RADIUS), "no other side is nearer"
    mirrored = {(-x, y) for x, y in points.round(6).tolist()}
    assert mirrored == {(x, y) for x, y in points.round(6).tolist()}


def test_ways_go_around_the_block_and_stay_in_the_picture() -> None:
    points, inwards = contacts()
    ways = Ways(points - CLEAR * inwards)
    start = np.array([100.0, 15.0])
    found = ways.to_places(start, HOME)
    assert all(way is not None for way in found)
    for way, point, inward in zip(found, points, inwards, strict=True):
        assert way is not None
        assert way[-1] == pytest.approx(point - CLEAR * inward)
        whole = np.concatenate([start[None], way])
        share = np.linspace(0, 1, 200)[:, None]
        steps = np.concatenate([a * (1 - share) + b * share for a, b in pairwise(whole)])
        assert distance(steps).min() > RADIUS + 5
    straight = found[int(np.argmin(np.abs(points - [60, 15]).sum(1)))]
    assert straight is not None
    assert len(straight) == 1, "the end of the bar lies straight ahead"
    at_the_wall = ways.to_places(
        to_block(np.array([256.0, 20.0, 0.0]), np.array([400.0, 200.0])), np.array([256, 20, 0])
    )
    blocked = {tuple(inward) for way, inward in zip(at_the_wall, inwards, strict=True) if way is None}
    assert blocked == {(0.0, 1.0)}, "there is no room between the wall and the bar"


@pytest.mark.parametrize("start", [(0.0, -15.0), (21.0, 46.0), (0.0, 60.0), (0.0, 40.0)])
def test_a_way_begins_with_getting_clear(start: tuple[float, float]) -> None:
    points, inwards = contacts()
    for way in Ways(points - CLEAR * inwards).to_places(np.array(start), HOME):
        assert way is not None
        assert distance(way[0]) > CLEAR - 0.6


def test_the_copy_does_what_the_environment_does() -> None:
    world, copy = simulated(3), Simulator(simulated())
    seen = world.get_obs()
    velocity = np.zeros(2)
    copy.set(Scene(seen[:2], velocity, seen[2:]))
    for target in np.linspace(seen[:2], seen[2:4], 12):
        velocity = np.array(follow(world.get_obs()[:2], velocity, target)[-1])
        seen = world.step(target)[0]
        copy.step(target)
    after = copy.scene()
    assert np.linalg.norm(seen[:2] - seen[2:4]) < 150
    assert after.place == pytest.approx(seen[:2], abs=1e-6)
    assert after.velocity == pytest.approx(velocity, abs=1e-6)
    assert np.array(world.agent.velocity) == pytest.approx(velocity, abs=1e-6)
    assert after.pose[:2] == pytest.approx(seen[2:4], abs=0.5)
    assert after.pose[2] % (2 * math.pi) == pytest.approx(seen[4], abs=0.02)


def test_a_push_that_is_all_it_takes() -> None:
    """The block has only to go 40 pixels along its stem, and is pushed askew of its middle before it is steered."""
    stem = np.array([-math.sin(GOAL[2]), math.cos(GOAL[2])])
    start = np.array([*(GOAL[:2] - 40 * stem), GOAL[2]])
    planner, world = PushPlanner(Simulator(simulated())), Simulator(simulated(1))
    world.set(scene((256.0, 60.0), start))
    begun = planner.plan(world.scene())
    again = planner.plan(world.scene())
    assert np.array(again.targets) == pytest.approx(np.array(begun.targets)), "what was tried leaves no trace"
    sideways = (begun.targets[-1] - start[:2]) @ np.array([stem[1], -stem[0]])
    assert abs(sideways) < 15, "it pushes the middle of the bar"
    found = begun
    while found.targets:
        for target in found.targets:
            world.step(target)
        if found.inwards is None:
            break
        found = planner.steer(world.scene(), found.targets[-1], found.inwards)
    assert misplaced(world.scene().pose) < 6


def test_a_push_turns_to_where_it_helps_and_ends_where_it_does_not() -> None:
    """Before the middle of the bar, the block right of its goal: the push that goes on has to go there too."""
    planner = PushPlanner(Simulator(simulated()))
    straight = np.array([0.0, 1.0])
    pose = np.array([256.0, 200.0, 0.2])
    place = pose[:2] + np.array([0.0, -20.0])
    found = planner.steer(scene((float(place[0]), float(place[1])), pose), place, straight)
    assert found.inwards is not None
    assert len(found.targets) == 4
    assert np.linalg.norm(found.inwards) == pytest.approx(1)
    over = planner.steer(scene((256.0, 241.0), GOAL), np.array([256.0, 241.0]), straight)
    assert over.targets == [], "the block is home: whatever moves it makes things worse"


def test_a_push_that_has_gone_far_enough_holds_back() -> None:
    """Six pixels are left, and the target is already twenty ahead of the pusher that touches the bar."""
    stem = np.array([-math.sin(GOAL[2]), math.cos(GOAL[2])])
    pose = np.array([*(GOAL[:2] - 6 * stem), GOAL[2]])
    place = pose[:2] - RADIUS * stem
    ahead = place + 20 * stem
    found = PushPlanner(Simulator(simulated())).steer(scene((place[0], place[1]), pose), ahead, stem)
    assert found.inwards is None
    assert 2 < (found.targets[-1] - place) @ stem < 10


@pytest.mark.parametrize("sees", ["corners", "pose"])
def test_the_pose_is_read_off_what_is_seen(sees: str) -> None:
    simulated()
    task = ControlTask.build({"name": "pusht", "sees": sees})
    slots = task.make(2, SeedTree(0))
    seen = slots.reset()
    assert seen.shape == (2, task.observation_dim)
    same = simulated((SeedTree(0) / 1 / 0).integer() % 2**31).get_obs()
    assert seen[1, :2].tolist() == pytest.approx(same[:2].tolist())
    pose = pose_of(seen[1])
    assert pose[:2] == pytest.approx(same[2:4], abs=1e-3)
    assert math.remainder(pose[2] - same[4], 2 * math.pi) == pytest.approx(0, abs=1e-4)
    assert slots.step(seen[:, :2]).success.tolist() == [0.0, 0.0]


def test_the_demonstrator_fulfils_the_task_and_repeats_itself() -> None:
    simulated()
    task = ControlTask.build("pusht")

    def shown(n: int) -> list[Any]:
        expert = task.expert(n, SeedTree(5))
        return play(task.make(n, SeedTree(1)), lambda seen, _: expert.act(seen), task.bounds)

    alone, beside = shown(1)[0], shown(2)
    assert alone.success == 1
    assert alone.rewards.max() == 1
    assert alone.actions.equal(beside[0].actions), "a slot does not depend on others"
    assert not torch.equal(beside[0].observations[0], beside[1].observations[0])
