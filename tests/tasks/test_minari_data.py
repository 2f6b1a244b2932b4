"""Minari data sets: there and back, with statistics; without them, and without a network, a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.core.errors import DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.demonstrations import Demonstrations
from pilothouse.tasks.drift import Drift
from pilothouse.tasks.minari_data import fetch_minari, measure_minari, read_minari, write_minari

minari = pytest.importorskip("minari", reason="needs the extra 'control'")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))


def behaviour(count: int = 3) -> Demonstrations:
    return Drift().demonstrations(count, SeedTree(0))


def test_episodes_come_back_with_their_statistics() -> None:
    episodes = behaviour()
    write_minari("drift/behaviour-v0", episodes, Drift())
    back = read_minari("drift/behaviour-v0")
    assert len(back) == len(episodes) == 3
    for ours, theirs in zip(episodes.trajectories, back.trajectories, strict=True):
        assert torch.allclose(ours.observations, theirs.observations)
        assert torch.allclose(ours.actions, theirs.actions)
        assert torch.allclose(ours.rewards, theirs.rewards)
        assert ours.terminated == theirs.terminated is False
    assert torch.equal(back.observations.mean, episodes.observations.mean)
    assert torch.equal(back.actions.std, episodes.actions.std)
    with pytest.raises(DataError, match="choose another name"):
        write_minari("drift/behaviour-v0", episodes, Drift())


def test_statistics_are_required_and_can_be_measured() -> None:
    write_minari("drift/bare-v0", behaviour(), Drift())
    storage: Any = minari.load_dataset("drift/bare-v0").storage
    storage.update_metadata({"pilothouse_statistics": "{}"})
    with pytest.raises(DataError, match=r"are damaged .* measure them anew"):
        read_minari("drift/bare-v0")
    path = Path(str(storage.data_path)) / "metadata.json"
    path.write_text(path.read_text().replace("pilothouse_statistics", "something_else"))
    with pytest.raises(DataError, match="has no normalisation statistics: measure and keep them once"):
        read_minari("drift/bare-v0")
    measured = measure_minari("drift/bare-v0")
    assert torch.equal(read_minari("drift/bare-v0").observations.std, measured.observations.std)


def test_what_is_not_here_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="there is no Minari data set 'drift/none-v0' on this machine"):
        read_minari("drift/none-v0")

    def offline(name: str) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr(minari, "download_dataset", offline)
    with pytest.raises(
        DataError, match=r"cannot fetch .* \(ConnectionError: no network\): check its name and the network"
    ):
        fetch_minari("mujoco/hopper/medium-v0")
