from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pytest

from pilothouse.core.errors import RunError
from pilothouse.reports import files
from pilothouse.reports.runs import RunStore, list_runs, versions


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore.create(tmp_path / "run", "grpo", "sorting")
    made.write_config({"method": "grpo", "task": {"name": "sorting"}})
    return made


def test_default_folder_is_named_after_method_task_and_time_and_never_shared(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = {RunStore.create(None, "grpo", "sorting").path for _ in range(3)}
    assert len(paths) == 3
    assert all(p.is_dir() and p.parent == Path("runs") and p.name.startswith("grpo-sorting-20") for p in paths)


def test_a_folder_that_holds_something_is_never_overwritten(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="not empty; give --out a new folder, or empty it"):
        RunStore.create(tmp_path, "grpo", "sorting")
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_folder_that_holds_a_run_is_offered_for_resuming(store):
    with pytest.raises(RunError, match="--resume"):
        RunStore.create(store.path, "grpo", "sorting")


def test_an_empty_folder_may_be_used_again(tmp_path):
    RunStore.create(tmp_path / "run", "grpo", "sorting")
    assert RunStore.create(tmp_path / "run", "grpo", "sorting").path == tmp_path / "run"


def test_open_refuses_what_is_not_a_run(tmp_path, store):
    assert RunStore.open(store.path).read_config()["method"] == "grpo"
    with pytest.raises(RunError, match="no run folder"):
        RunStore.open(tmp_path / "nowhere")
    with pytest.raises(RunError, match=r"no config\.toml"):
        RunStore.open(tmp_path)


def test_config_holds_everything_with_versions(store):
    table = store.read_config()
    assert table["task"] == {"name": "sorting"}
    assert {"pilothouse", "python", "torch", "transformers", "numpy"} <= set(table["versions"])
    assert table["versions"]["numpy"] == np.__version__
    assert versions() == table["versions"]


def test_settings_that_are_none_are_left_out_of_the_config(store):
    store.write_config({"a": None, "task": {"limit": None, "parts": [{"n": 1, "m": None}]}})
    table = store.read_config()
    del table["versions"]
    assert table == {"task": {"parts": [{"n": 1}]}}


def test_damaged_config_is_a_sentence(store):
    (store.path / "config.toml").write_text("method = ")
    with pytest.raises(RunError, match="cannot read"):
        store.read_config()


def test_rows_come_back_and_numbers_that_are_not_finite_are_null(store):
    store.append_metrics({"step": 1, "reward": float("nan"), "parts": {"a": [np.float32("inf"), np.int64(3)]}})
    store.append_metrics({"step": 2, "reward": np.float64(0.5)})
    assert list(store.metrics()) == [
        {"step": 1, "reward": None, "parts": {"a": [None, 3]}},
        {"step": 2, "reward": 0.5},
    ]
    lines = (store.path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line, parse_constant=pytest.fail)["step"] for line in lines] == [1, 2]


def test_rollouts_can_be_read_by_step_and_keep_their_text(store):
    texts = ["1+1=2 é", 'two\nlines "x" \u2028', "\ud800"]
    store.append_rollouts({"step": step, "response": text} for step, text in enumerate(texts, 1))
    assert [row["response"] for row in store.rollouts()] == [*texts[:2], "?"]
    assert [row["step"] for row in store.rollouts(2)] == [2]


def test_a_half_written_last_line_is_left_out(store):
    store.append_metrics({"step": 1})
    with (store.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "rew')
    assert [row["step"] for row in store.metrics()] == [1]
    store.truncate(1)
    store.append_metrics({"step": 2})
    assert [row["step"] for row in store.metrics()] == [1, 2]


def test_a_damaged_line_in_the_middle_is_named(store):
    (store.path / "metrics.jsonl").write_text('{"step": 1}\nrubbish\n{"step": 3}\n')
    with pytest.raises(RunError, match="line 2"):
        list(store.metrics())


def test_truncate_drops_the_rows_after_a_step_in_both_files(store):
    for step in (1, 2, 3):
        store.append_metrics({"step": step})
        store.append_rollouts([{"step": step, "i": i} for i in range(2)])
    store.truncate(2)
    assert [row["step"] for row in store.metrics()] == [1, 2]
    assert [(row["step"], row["i"]) for row in store.rollouts()] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    store.truncate(0)
    assert list(store.metrics()) == list(store.rollouts()) == []


def test_truncate_of_a_run_without_rows_makes_no_files(store):
    store.truncate(0)
    assert [p.name for p in store.path.iterdir()] == ["config.toml"]


def test_result_is_replaced_whole(store):
    with pytest.raises(RunError, match=r"result\.json is not there"):
        store.read_result()
    store.write_result({"finished": False})
    store.write_result({"finished": True, "gain": float("nan")})
    assert store.read_result() == {"finished": True, "gain": None}
    (store.path / "result.json").write_text("{")
    with pytest.raises(RunError, match="cannot read"):
        store.read_result()


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_disk_that_fails_loses_nothing_saved(store, monkeypatch, failing):
    store.write_result({"steps": 1})
    store.append_metrics({"step": 1})

    def fail(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, failing, fail)
    with pytest.raises(RunError, match="No space left on device; free space or"):
        store.write_result({"steps": 2})
    with pytest.raises(RunError, match="No space left"):
        store.truncate(0)
    assert store.read_result() == {"steps": 1}
    assert [row["step"] for row in store.metrics()] == [1]
    assert not list(store.path.glob(".*")), "a temporary file was left behind"


def test_an_append_that_fails_half_way_leaves_no_half_line(store, monkeypatch):
    store.append_metrics({"step": 1})
    opened = Path.open

    class Full:
        def __init__(self, stream):
            self.stream = stream

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.stream.close()

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def write(self, data):
            self.stream.write(data[:5])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", lambda self, *a, **k: Full(opened(self, *a, **k)))
        with pytest.raises(RunError, match="No space left"):
            store.append_metrics({"step": 2})
    assert (store.path / "metrics.jsonl").read_bytes() == b'{"step": 1}\n'


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_a_sentence(store):
    (store.path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(RunError, match="No space left on device"):
        store.append_metrics({"step": 1})


def test_a_path_below_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="Not a directory; free space or give another folder with --out"):
        RunStore.create(tmp_path / "file" / "run", "grpo", "sorting")


def test_runs_are_listed_newest_first(tmp_path):
    assert list_runs(tmp_path / "none") == []
    for age, name in enumerate(["a", "b", "c"]):
        run = RunStore.create(tmp_path / name, "grpo", "sorting")
        run.write_config({})
        os.utime(run.path / "config.toml", (1000 - age, 1000 - age))
    (tmp_path / "not-a-run").mkdir()
    assert [run.path.name for run in list_runs(tmp_path)] == ["a", "b", "c"]
