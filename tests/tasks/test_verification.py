import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import ScoreStatus
from pilothouse.tasks.verification import Verdict, Verifiers, guarded, load_function


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def pool() -> Iterator[Verifiers]:
    verifiers = Verifiers("verifiers:judge", deadline=0.5, workers=2)
    yield verifiers
    verifiers.close()


def test_each_item_gets_its_own_status_in_order(pool: Verifiers):
    kinds = ["fine", "sleeps", "raises", "exits", "spins", "good"]
    verdicts = pool.run([(kind,) for kind in kinds])
    assert [verdict.status for verdict in verdicts] == ["ok", "timeout", "error", "error", "timeout", "ok"]
    assert [verdicts[0].value, verdicts[-1].value] == ["FINE", "GOOD"]
    assert "no such answer" in verdicts[2].detail
    assert "status 3" in verdicts[3].detail
    assert "0.5 s" in verdicts[1].detail
    assert pool.run([("again",)]) == [Verdict(ScoreStatus.OK, "AGAIN")]  # the pool outlives its children


def test_no_items_start_nothing(pool: Verifiers):
    assert pool.run([]) == []


def test_children_persist():
    pool = Verifiers("verifiers:pid", deadline=20, workers=1)
    first, second = pool.run([("a",)])[0], pool.run([("b",)])[0]
    assert first.value == second.value
    pool.close()
    assert pool.run([("c",)])[0].value != first.value
    pool.close()


def test_works_off_the_main_thread(pool: Verifiers):
    found: list[Verdict] = []
    thread = threading.Thread(target=lambda: found.extend(pool.run([("sleeps",), ("fine",)])))
    thread.start()
    thread.join(60)
    assert [verdict.status for verdict in found] == ["timeout", "ok"]


def test_a_child_killed_while_idle_is_replaced(pool: Verifiers):
    assert pool.run([("fine",)])[0].value == "FINE"
    pool._children[0].process.kill()
    pool._children[0].process.wait()
    assert pool.run([("fine",)])[0].value == "FINE"


@pytest.mark.parametrize("target", ["no_such_module:judge", "verifiers:nothing"])
def test_a_verifier_that_cannot_be_loaded_fails_every_item(target: str):
    verdicts = Verifiers(target, workers=1).run([("a",), ("b",)])
    assert [verdict.status for verdict in verdicts] == ["error", "error"]
    assert "cannot load" in verdicts[0].detail


def test_guarded_turns_errors_into_verdicts():
    assert guarded(int, "3").value == 3
    assert guarded(int, "x").status is ScoreStatus.ERROR


def test_functions_of_the_working_folder_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_reward_module.py").write_text("def score(): return 1\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    assert load_function("my_reward_module:score", "reward")() == 1
    with pytest.raises(ConfigError, match="not a function"):
        load_function("my_reward_module:number", "reward")
    with pytest.raises(ConfigError, match="cannot load reward 'my_reward_module:scor'"):
        load_function("my_reward_module:scor", "reward")
    with pytest.raises(ConfigError, match="write it like"):
        load_function("my_reward_module", "reward")
