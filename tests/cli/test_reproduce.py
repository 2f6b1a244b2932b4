"""``reproduce --all`` and ``claims`` as a user meets them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pilothouse.core.errors import RunError
from pilothouse.methods import apart
from pilothouse.methods.base import methods

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("command", "pieces"),
    [
        ("reproduce", ["which claim?", "--all"]),
        ("reproduce grpo --all", ["not both"]),
        ("reproduce grpo --budget 2h", ["go with --all"]),
        ("reproduce grpo --fresh", ["go with --all"]),
        ("reproduce --all --budget soon", ["'soon' is not a time", "2h"]),
        ("reproduce --all --scale smal", ["unknown scale 'smal'"]),
        ("claims --evidence nowhere", ["no evidence of scale small in nowhere", "reproduce --all"]),
        ("claims --scale smal", ["unknown scale 'smal'"]),
        ("claims --write nowhere", ["nowhere is no documentation folder"]),
        ("claims --scale gpu --write nowhere", ["made from evidence of scale small"]),
    ],
)
def test_mistakes_are_one_sentence(cli: Any, command: str, pieces: list[str]) -> None:
    said = cli(*command.split()).refusal()
    assert all(piece in said for piece in pieces), said


def test_two_real_methods_at_smoke_scale(cli: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    two = {name: methods()[name] for name in ("td3-bc", "iql")}
    monkeypatch.setattr("pilothouse.methods.base.methods", lambda: two)
    first = cli("reproduce", "--all", "--scale", "smoke", "--out", "evidence", "--json")
    assert first.status == 0, first.err
    assert {row["method"]: row["state"] for row in first.json()} == {"td3-bc": "measured", "iql": "measured"}
    again = cli("reproduce", "--all", "--scale", "smoke", "--out", "evidence")
    assert "measured before and kept, --fresh repeats: td3-bc, iql" in again.err
    assert again.out.count("smoke run, no verdict") == 2
    shown = cli("claims", "--scale", "smoke", "--evidence", "evidence")
    assert shown.out.count("smoke run, no verdict") == 2


def test_a_failure_is_told_at_the_end_and_by_the_exit_status(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise RunError("it broke")

    monkeypatch.setattr("pilothouse.methods.base.methods", lambda: {"riskpo": methods()["riskpo"]})
    monkeypatch.setattr(apart, "reproduce_apart", broken)
    found = cli("reproduce", "--all", "--scale", "smoke")
    assert found.status == 1
    assert "it broke" in found.out
    assert found.err.splitlines()[-1] == "1 failed: riskpo; the same command tries them again"


def test_an_interrupt_tells_what_is_kept_and_how_to_go_on(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pilothouse.methods.base.methods", lambda: {"riskpo": methods()["riskpo"]})
    monkeypatch.setattr(apart, "reproduce_apart", stopped)
    found = cli("reproduce", "--all", "--scale", "smoke")
    assert found.status == 130
    assert "not begun or interrupted" in found.out
    assert "what is done is kept under runs" in found.err
    assert "Traceback" not in found.err


def test_claims_of_the_checkout(cli: Any) -> None:
    told = {row["method"]: row["verdict"] for row in cli("claims", "--json").json()}
    assert set(told) == set(methods())
    assert told["treepo"] == json.loads((DOCS / "methods" / "treepo-small.json").read_text())["verdict"]
    assert "treepo" in cli("claims").out


def test_ctrl_c_ends_the_experiment_under_way_too(tmp_path: Path) -> None:
    """A real process group: the signal reaches the parent, which ends the child it started."""
    script = tmp_path / "parent.py"
    child = "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(60)"
    script.write_text(
        # a suite that itself runs in the background has interrupts ignored, and so would this
        "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "import sys\nfrom pathlib import Path\nfrom pilothouse.methods.apart import run_apart\n"
        "from pilothouse.reports.progress import PlainProgress\n"
        f"run_apart([sys.executable, '-c', {child!r}], Path({str(tmp_path / 'log')!r}), PlainProgress(), None)\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert parent.stderr is not None
    pid = int(parent.stderr.readline())
    os.killpg(parent.pid, signal.SIGINT)
    assert parent.wait(30) != 0
    assert int((tmp_path / "log").read_text()) == pid
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
