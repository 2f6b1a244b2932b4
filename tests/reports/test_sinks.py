from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.reports.sinks import numbers, open_sinks

ROW = {"step": 1, "reward": 0.5, "entropy": float("nan"), "note": "text", "accuracy": None, "episodes": 8}


class StandIn(ModuleType):
    """A tracker's package: ``init`` gives a run with ``log`` and ``finish``."""

    class Error(Exception):
        pass

    def __init__(self, name: str, broken: str = "", error: type[Exception] = ConnectionError) -> None:
        super().__init__(name)
        self.broken, self.error, self.calls = broken, error, []

    def _do(self, what, *details):
        print(f"{what} says hello")
        if what == self.broken:
            raise self.error("server is down")
        self.calls.append((what, *details))

    def init(self, project, name):
        self._do("init", project, name)
        return self

    def log(self, values, step):
        self._do("log", values, step)

    def finish(self):
        self._do("finish")


def use(sinks):
    for step in (1, 2):
        for sink in sinks:
            sink.log(step, {**ROW, "step": step})
    for sink in sinks:
        sink.close()
        sink.close()


def test_tensorboard_files_read_back(tmp_path):
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    use(open_sinks(["tensorboard"], tmp_path, pytest.fail))
    (path,) = (tmp_path / "tensorboard").iterdir()
    events = [event for event in EventFileLoader(str(path)).Load() if event.summary.value]
    read = [(event.step, value.tag, value.tensor.float_val[0]) for event in events for value in event.summary.value]
    assert read == [(step, tag, value) for step in (1, 2) for tag, value in (("reward", 0.5), ("episodes", 8.0))]


def test_tensorboard_needs_no_torch(tmp_path):
    code = f"""import sys, pathlib
from pilothouse.reports.sinks import open_sinks
open_sinks(['tensorboard'], pathlib.Path({str(tmp_path)!r}), print)[0].close()
print([m for m in ('torch', 'tensorflow') if m in sys.modules])"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["trackio", "wandb"])
def test_trackers_receive_finite_numbers_and_keep_off_standard_output(tmp_path, monkeypatch, capsys, name):
    package = StandIn(name)
    monkeypatch.setitem(sys.modules, name, package)
    use(open_sinks([name], tmp_path / "grpo-sorting", pytest.fail))
    sent = {"reward": 0.5, "episodes": 8.0}
    assert package.calls == [
        ("init", "pilothouse", "grpo-sorting"),
        ("log", sent, 1),
        ("log", sent, 2),
        ("finish",),
    ]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "log says hello" in captured.err


@pytest.mark.parametrize("broken", ["init", "log", "finish"])
@pytest.mark.parametrize(
    ("name", "error"), [("trackio", ConnectionError), ("trackio", RuntimeError), ("wandb", StandIn.Error)]
)
def test_a_sink_that_fails_is_switched_off_and_reported_once(tmp_path, monkeypatch, name, error, broken):
    package, warnings = StandIn(name, broken, error), []
    monkeypatch.setitem(sys.modules, name, package)
    use(open_sinks([name], tmp_path, warnings.append))
    assert len(warnings) == 1
    assert f"{name} failed and is switched off for this run ({error.__name__}: server is down)" in warnings[0]


def test_a_mistake_in_a_sink_is_not_hidden(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", StandIn("wandb", "log", ZeroDivisionError))
    with pytest.raises(ZeroDivisionError):
        use(open_sinks(["wandb"], tmp_path, pytest.fail))


def test_a_failing_tensorboard_does_not_stop_the_others(tmp_path, monkeypatch):
    (tmp_path / "tensorboard").write_text("in the way")
    package, warnings = StandIn("trackio"), []
    monkeypatch.setitem(sys.modules, "trackio", package)
    use(open_sinks(["tensorboard", "trackio"], tmp_path, warnings.append))
    assert len(warnings) == 1
    assert "tensorboard failed" in warnings[0]
    assert len(package.calls) == 4


def test_unknown_and_missing_sinks_name_the_fix(tmp_path, monkeypatch):
    with pytest.raises(ConfigError, match="unknown sink 'tensorbord'; did you mean 'tensorboard'"):
        open_sinks(["tensorbord"], tmp_path, pytest.fail)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"wandb; install it with pip install 'pilothouse\[trackers\]'"):
        open_sinks(["tensorboard", "wandb"], tmp_path, pytest.fail)
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_a_row():
    assert numbers(ROW) == {"reward": 0.5, "episodes": 8.0}
