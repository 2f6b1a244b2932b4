from __future__ import annotations

import io
import sys

from rich.console import Console

from pilothouse.reports.progress import (
    PlainProgress,
    Progress,
    RichProgress,
    WarningProgress,
    duration,
    figures,
    make_progress,
)

ROW = {"step": 3, "reward": 0.5, "accuracy": 0.25, "length": 12.0, "entropy": None, "seconds": 2.0}


def drive(progress: Progress) -> None:
    progress.say("plan [8 rows]")
    progress.phase("warm start")
    progress.track(1, 2, "loss 1.2")
    progress.track(2, 2, "loss 0.9")
    progress.start(5, 2)
    progress.step(ROW)
    progress.warn("cut off [truncated]")
    progress.step({**ROW, "step": 4})
    progress.step({**ROW, "step": 5})
    progress.stop()
    progress.stop()


def test_standard_output_is_never_touched(capsys):
    for progress in (
        Progress(),
        WarningProgress(),
        PlainProgress(),
        RichProgress(),
        make_progress(),
        make_progress(True),
    ):
        drive(progress)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "plan [8 rows]" in captured.err


def test_lines_of_a_log():
    stream = io.StringIO()
    now = iter([0.0, 0.5, 10.0, 11.0, 11.5])
    drive(PlainProgress(stream, clock=lambda: next(now)))
    assert stream.getvalue().splitlines() == [
        "plan [8 rows]",
        "warm start",
        " 50 %  loss 1.2",
        "100 %  loss 0.9",
        "step 3/5  reward 0.500  accuracy 25.0%  length 12.0  4 s left",
        "warning: cut off [truncated]",
        "step 5/5  reward 0.500  accuracy 25.0%  length 12.0  0 s left",
    ]


def test_quiet_shows_warnings_alone():
    stream = io.StringIO()
    drive(WarningProgress(stream))
    assert stream.getvalue() == "warning: cut off [truncated]\n"


def test_bar_shows_live_figures_and_keeps_what_was_said():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, color_system=None)
    progress = RichProgress(console)
    progress.start(5, 2)
    progress.step(ROW)
    progress._bars.refresh()
    shown = stream.getvalue()
    assert "step 3/5" in shown
    assert "4 s left  reward 0.500  accuracy 25.0%  length 12.0" in shown
    progress.warn("cut off [truncated]")
    progress.stop()
    assert "warning: cut off [truncated]" in stream.getvalue()
    assert not progress._bars.live.is_started


def test_bar_of_other_work_ends_by_itself():
    stream = io.StringIO()
    progress = RichProgress(Console(file=stream, force_terminal=True, width=100, color_system=None))
    progress.track(1, 4, "epoch 1")
    assert progress._bars.live.is_started
    progress.track(4, 4, "epoch 4, loss 0.2")
    assert not progress._bars.live.is_started
    assert stream.getvalue().rstrip().endswith("epoch 4, loss 0.2")


def test_a_bar_is_for_terminals(monkeypatch):
    assert isinstance(make_progress(), PlainProgress)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(make_progress(), RichProgress)
    assert isinstance(make_progress(quiet=True), WarningProgress)


def test_figures_leave_out_what_is_unknown():
    assert figures({"reward": float("nan"), "length": 3.0}) == "length 3.0"


def test_durations_read_well():
    assert [duration(s) for s in (0.4, 59.4, 59.6, 185, 7620)] == [
        "0 s",
        "59 s",
        "1 min 00 s",
        "3 min 05 s",
        "2 h 07 min",
    ]
