"""Episodes of slow experts: kept, found again, completed, and made again where damaged."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pytest
import torch

from pilothouse.core.errors import DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Expert
from pilothouse.tasks.demonstrations import Demonstrations
from pilothouse.tasks.reach import Reach


class SlowReach(Reach):
    """A reach whose episodes are kept."""

    edition: ClassVar[str] = "1"
    made: ClassVar[int] = 0

    def expert(self, n: int, seeds: SeedTree) -> Expert:
        """Count the episodes."""
        SlowReach.made += n
        return super().expert(n, seeds)


class Hopeless(SlowReach):
    """A reach whose expert stands still."""

    def expert(self, n: int, seeds: SeedTree) -> Expert:
        """Return one that never arrives."""

        class Still:
            def act(self, observations: torch.Tensor) -> torch.Tensor:
                return torch.zeros(len(observations), 2)

        return Still()


@pytest.fixture(autouse=True)
def shelf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PILOTHOUSE_CACHE", str(tmp_path))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(SlowReach, "made", 0)
    return tmp_path / "demonstrations"


def same(a: Demonstrations, b: Demonstrations) -> bool:
    pairs = zip(a.trajectories, b.trajectories, strict=True)
    return all(x.actions.equal(y.actions) and x.observations.equal(y.observations) for x, y in pairs)


def test_episodes_are_found_again_and_added_to(shelf: Path) -> None:
    told: list[tuple[int, int]] = []
    few = SlowReach().demonstrations(3, SeedTree(0), lambda *there: told.append(there))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert SlowReach.made == 3
    assert same(few, SlowReach().demonstrations(3, SeedTree(0), lambda *there: told.append(there)))
    assert (SlowReach.made, len(told)) == (3, 3)
    more = SlowReach().demonstrations(5, SeedTree(0))
    assert SlowReach.made == 5
    assert more.trajectories[2].actions.equal(few.trajectories[2].actions)
    assert not same(few, SlowReach().demonstrations(3, SeedTree(1)))
    assert len(list(shelf.iterdir())) == 2


def test_what_was_interrupted_goes_on(shelf: Path) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        SlowReach().demonstrations(4, SeedTree(0), stop)
    assert SlowReach.made == 2
    SlowReach().demonstrations(4, SeedTree(0))
    assert SlowReach.made == 4
    assert not list(shelf.glob("*/.draft*")), "drafts are taken away"


@pytest.mark.parametrize("harm", ["cut", "gone", "other"])
def test_a_damaged_episode_is_made_again(shelf: Path, harm: str) -> None:
    first = SlowReach().demonstrations(3, SeedTree(0))
    (file,) = shelf.glob("*/episode-00001/*.safetensors")
    content = file.read_bytes()
    file.unlink()
    if harm != "gone":
        file.write_bytes(content[:100] if harm == "cut" else b"no tensors")
    assert same(first, SlowReach().demonstrations(3, SeedTree(0)))
    assert SlowReach.made == 4


def test_an_expert_that_acts_otherwise_is_recorded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    SlowReach().demonstrations(2, SeedTree(0))
    monkeypatch.setattr(SlowReach, "edition", "2")
    SlowReach().demonstrations(2, SeedTree(0))
    assert SlowReach.made == 4


def test_a_folder_that_cannot_be_written_costs_a_warning(shelf: Path) -> None:
    shelf.write_text("a file where a folder should be")
    with pytest.warns(UserWarning, match="set PILOTHOUSE_CACHE to a folder"):
        assert len(SlowReach().demonstrations(2, SeedTree(0))) == 2


def test_an_expert_that_keeps_failing_is_told() -> None:
    with pytest.raises(DataError, match="fulfilled it 0 times where 1 are needed"):
        Hopeless().demonstrations(1, SeedTree(0))


def test_processes_of_their_own_record_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone = SlowReach().demonstrations(17, SeedTree(0))
    monkeypatch.setenv("PILOTHOUSE_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    told: list[tuple[int, int]] = []
    apart = SlowReach().demonstrations(17, SeedTree(0), lambda *there: told.append(there))
    assert SlowReach.made == 17, "this process made none of them"
    assert same(alone, apart)
    assert (told[0], told[-1]) == ((0, 17), (17, 17))


def test_a_process_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Hidden(SlowReach):  # no other process can import it
        pass

    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    with pytest.raises(DataError, match=r"records episodes failed.*Hidden"):
        Hidden().demonstrations(16, SeedTree(0))


def test_episodes_of_quick_experts_are_not_kept(shelf: Path) -> None:
    assert ControlTask.build("reach").edition == ""
    Reach().demonstrations(2, SeedTree(0))
    assert not shelf.exists()
