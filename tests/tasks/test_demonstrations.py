"""Recorded episodes on disk: never without the statistics that normalise them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pilothouse.core.errors import DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.demonstrations import Demonstrations, Trajectory, read_episodes, write_episodes
from pilothouse.tasks.reach import Reach


def episode(*actions: float, width: int = 1) -> Trajectory:
    steps = len(actions)
    seen = torch.arange(steps + 1.0)[:, None].expand(-1, width).clone()
    return Trajectory(seen, torch.tensor(actions)[:, None], torch.ones(steps), True, 1.0)


def test_statistics_golden() -> None:
    found = Demonstrations.of([episode(1.0, 3.0), episode(5.0)])
    assert found.actions.to_dict() == {
        "low": [1.0],
        "high": [5.0],
        "mean": [3.0],
        "std": [pytest.approx((8 / 3) ** 0.5)],
    }
    assert found.observations.high.tolist() == [1.0], "the last observation is acted on by nothing"
    assert (len(found), found.steps) == (2, 3)


def test_episodes_come_back_as_they_were(tmp_path: Path) -> None:
    shown = Reach().demonstrations(5, SeedTree(0))
    shown.save(tmp_path / "data")
    back = Demonstrations.load(tmp_path / "data")
    for one, other in zip(shown.trajectories, back.trajectories, strict=True):
        assert one.observations.equal(other.observations)
        assert one.actions.equal(other.actions)
        assert one.rewards.equal(other.rewards)
        assert (one.terminated, one.success) == (other.terminated, other.success)
    assert back.actions.low.equal(shown.actions.low)
    assert len(Reach(data=str(tmp_path / "data")).demonstrations(99, SeedTree(1))) == 5


def test_without_statistics_nothing_is_read(tmp_path: Path) -> None:
    write_episodes(tmp_path, [episode(1.0)])
    assert len(read_episodes(tmp_path)) == 1
    with pytest.raises(DataError, match=r"no normalisation statistics.*Demonstrations.of.*save"):
        Demonstrations.load(tmp_path)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("{", "no normalisation statistics"),
        ('{"observations": {"low": [0]}}', "no normalisation statistics"),
        ("widths", "does not fit the observations"),
    ],
)
def test_damaged_statistics_are_a_sentence(tmp_path: Path, table: str, words: str) -> None:
    Demonstrations.of([episode(1.0, width=2)]).save(tmp_path)
    if table == "widths":
        other = Demonstrations.of([episode(1.0, width=3)])
        table = json.dumps({"observations": other.observations.to_dict(), "actions": other.actions.to_dict()})
    (tmp_path / "statistics.json").write_text(table)
    with pytest.raises(DataError, match=words):
        Demonstrations.load(tmp_path)


def test_what_cannot_be_learnt_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no episodes"):
        Demonstrations.of([])
    with pytest.raises(DataError, match="episode 1 holds numbers that are not finite"):
        Demonstrations.of([episode(1.0), episode(float("nan"))])
    with pytest.raises(DataError, match="one observation more than actions"):
        Trajectory(torch.zeros(2, 1), torch.zeros(2, 1), torch.zeros(2))
    with pytest.raises(DataError, match="name a folder of saved episodes"):
        Demonstrations.load(tmp_path / "nowhere")
    Demonstrations.of([episode(1.0)]).save(tmp_path / "other")
    with pytest.raises(DataError, match="observations of 1 and actions of 1 numbers, task 'reach' has 4 and 2"):
        Reach(data=str(tmp_path / "other")).demonstrations(1, SeedTree(0))
