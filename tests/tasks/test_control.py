"""Control tasks: rules worked by hand, experts that fulfil them, slots that keep to themselves."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.pick_lift import PickLift
from pilothouse.tasks.playing import NotFiniteError, play
from pilothouse.tasks.reach import Reach


def after(state: list[float], action: list[float], task: PickLift | None = None) -> tuple[list[float], bool, bool]:
    """Observation, whether ended, whether succeeded."""
    full = torch.tensor([[*state, 0.0, 0.0, 0.0]])
    states, _, ended, success = (task or PickLift()).advance(full, torch.tensor([action]))
    return [round(v, 4) for v in states[0, :5].tolist()], bool(ended), bool(success)


@pytest.mark.parametrize(
    ("state", "action", "seen", "ended", "success"),
    [
        ([-0.9, 0.0, 0.8, 0.1, 0.0], [1.0, -0.5, -1.0], [-0.82, -0.04, 0.8, 0.1, 0.0], False, False),
        ([-0.9, 0.0, 0.8, 0.1, 0.0], [3.0, 0.0, -1.0], [-0.82, 0.0, 0.8, 0.1, 0.0], False, False),  # cut off at 1
        ([-0.35, 0.0, 0.8, 0.1, 0.0], [1.0, 0.0, -1.0], [-0.27, 0.0, 0.8, 0.1, 0.0], True, False),  # the obstacle
        ([0.75, 0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 1.0], [0.75, 0.1, 0.8, 0.1, 1.0], False, False),  # held
        ([0.65, 0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 1.0], [0.65, 0.1, 0.8, 0.1, 0.0], False, False),  # not yet near enough
        ([0.5, 0.1, 0.8, 0.1, 0.0], [0.0, 0.0, 1.0], [0.5, 0.1, 0.8, 0.1, 0.0], True, False),  # closed too far away
        ([0.8, 0.5, 0.8, 0.1, 1.0], [0.0, 1.0, -1.0], [0.8, 0.58, 0.8, 0.1, 0.0], True, False),  # dropped
        ([0.8, 0.8, 0.8, 0.1, 1.0], [0.0, 1.0, 0.5], [0.8, 0.88, 0.8, 0.1, 1.0], True, True),  # lifted
    ],
)
def test_rules_of_pick_lift(
    state: list[float], action: list[float], seen: list[float], ended: bool, success: bool
) -> None:
    assert after(state, action) == (pytest.approx(seen), ended, success)


def test_the_thing_jumps_once_unless_held() -> None:
    task = PickLift(jump=1.0, jump_at=3)
    states = torch.tensor([[-0.9, 0.5, 0.8, 0.1, held, 2.0, 0.05, -0.2] for held in (0.0, 1.0)])
    moved = task.advance(states, torch.tensor([[0.0, 0.0, -1.0]] * 2))[0]
    assert moved[0, 2:4].tolist() == pytest.approx([0.85, -0.1])
    assert moved[1, 2:4].tolist() == pytest.approx([0.8, 0.1])
    assert task.advance(moved, torch.zeros(2, 3))[0][:, 2:4].equal(moved[:, 2:4])


@pytest.mark.parametrize("spec", ["reach", "pick-lift", {"name": "pick-lift", "modes": "one"}])
def test_experts_fulfil_their_task(spec: Any) -> None:
    task = ControlTask.build(spec)
    shown = task.demonstrations(50, SeedTree(0))
    assert len(shown) == 50
    assert all(one.success == 1 and one.terminated for one in shown.trajectories)
    again = task.demonstrations(50, SeedTree(0))
    assert all(a.actions.equal(b.actions) for a, b in zip(shown.trajectories, again.trajectories, strict=True)), (
        "the same seed shows the same episodes"
    )


def test_demonstrators_pass_on_either_side_or_on_the_side_they_start_on() -> None:
    def sides(modes: str) -> tuple[torch.Tensor, torch.Tensor]:
        shown = ControlTask.build({"name": "pick-lift", "modes": modes}).demonstrations(100, SeedTree(1)).trajectories
        start = torch.tensor([one.observations[0, 1] > 0 for one in shown])
        middle = [one.observations[one.observations[:, 0].abs().argmin(), 1] > 0 for one in shown]
        return start, torch.tensor(middle)

    start, passed = sides("one")
    assert passed.equal(start)
    start, passed = sides("two")
    assert 0.3 < passed.float().mean() < 0.7
    assert 0.3 < (passed == start).float().mean() < 0.7


def test_a_slot_that_is_done_stays_and_restarts_alone() -> None:
    world = Reach().make(3, SeedTree(0))
    first = world.reset()
    towards = first[:, 2:] - first[:, :2]
    left = towards.clone()
    left[1:] = 0.0  # slot 0 alone moves, in one leap it cannot make
    for _ in range(40):
        moment = world.step(left * 10)
        left = torch.where(
            moment.done[:, None], torch.zeros(3, 2), moment.observations[:, 2:] - moment.observations[:, :2]
        )
        left[1:] = 0.0
        if moment.done[0]:
            break
    assert moment.done.tolist() == [True, False, False]
    assert moment.success.tolist() == [1, 0, 0]
    stays = world.step(torch.ones(3, 2))
    assert stays.observations[0].equal(moment.observations[0])
    assert stays.rewards[0] == 0
    assert stays.done[0]
    fresh = world.reset(torch.tensor([True, False, False]))
    assert fresh[1:].equal(stays.observations[1:])
    assert not fresh[0].equal(first[0]), "the second episode of a slot is another one"
    assert not world.step(torch.zeros(3, 2)).done[0]


def test_a_slots_start_depends_on_no_other() -> None:
    few, many = (Reach().make(n, SeedTree(3)).reset() for n in (2, 5))
    assert few.equal(many[:2])


def test_time_is_limited() -> None:
    episodes = play(Reach().make(2, SeedTree(0)), lambda seen, live: torch.zeros(2, 2), Reach().bounds)
    assert [len(one) for one in episodes] == [40, 40]
    assert [(one.success, one.terminated) for one in episodes] == [(0.0, False)] * 2


def test_an_action_that_is_not_finite_stops_and_hands_over_the_episode() -> None:
    def act(seen: torch.Tensor, live: torch.Tensor) -> torch.Tensor:
        steps.append(1)
        return torch.tensor([[0.0, 0.0], [0.0, float("nan") if len(steps) == 3 else 0.5]])

    steps: list[int] = []
    with pytest.raises(NotFiniteError, match=r"episode 1, step 3 is not finite.*earlier checkpoint") as caught:
        play(Reach().make(2, SeedTree(0)), act, Reach().bounds)
    episode = caught.value.trajectory
    assert episode.actions[:2].tolist() == [[0.0, 0.5]] * 2
    assert episode.actions[2].isnan().any()


def test_gymnasium_environments_are_tasks() -> None:
    pytest.importorskip("mujoco")
    task = ControlTask.build("gym:InvertedPendulum-v5")
    assert ControlTask.build(task.model_dump()) == task
    assert (task.title, task.observation_dim, task.action_dim, task.horizon) == ("InvertedPendulum-v5", 4, 1, 1000)
    assert [bound.tolist() for bound in task.bounds] == [[-3.0], [3.0]]
    episodes = play(task.make(2, SeedTree(0)), lambda seen, live: torch.zeros(2, 1), task.bounds)
    assert all(one.terminated and float(one.rewards.sum()) == len(one) - 1 for one in episodes)
    assert episodes[0].success != episodes[0].success, "its success is unknown"
    with pytest.raises(DataError, match="no scripted expert: give --data"):
        task.demonstrations(1, SeedTree(0))


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("raech", "unknown control task 'raech'; did you mean 'reach'"),
        ("gym:Hoper-v5", "unknown environment 'Hoper-v5'; did you mean 'Hopper-v5'"),
        ("gym:CartPole-v1", "actions of 'CartPole-v1' are Discrete.*not a vector"),
    ],
)
def test_what_is_no_task_is_a_sentence(spec: str, words: str) -> None:
    pytest.importorskip("gymnasium")
    with pytest.raises(ConfigError, match=words):
        _ = ControlTask.build(spec).horizon


@pytest.mark.parametrize(("task", "module"), [("gym:Hopper-v4x", "gymnasium"), ("pusht", "gym_pusht")])
def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch, task: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=rf"needs {module}.*pip install 'pilothouse\[control\]'"):
        ControlTask.build(task).make(1, SeedTree(0))
