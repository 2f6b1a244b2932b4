"""Speak or stay silent: true chances by hand, what a response decides and costs, and judged rows from a file."""

import json
from pathlib import Path

import pytest

from pilothouse.core.errors import PilothouseError
from pilothouse.core.problems import Problem
from pilothouse.tasks.proactive_data import read_judged
from pilothouse.tasks.proactive_stream import ProactiveStream, tenth, true_chances

TASK = ProactiveStream(c_fa=2, c_fn=5)


@pytest.mark.parametrize(
    ("events", "need", "acc"),
    [("rrrr", -2.5, -0.5), ("rexex", 0.5, 0.7), ("exr", -2.5, -0.5), ("sdexex", 0.5, -0.8), ("exexex", 2.0, 1.3)],
)
def test_true_chances_by_hand(events: str, need: float, acc: float) -> None:
    from math import exp

    assert true_chances(events) == pytest.approx((1 / (1 + exp(-need)), 1 / (1 + exp(-acc))))


@pytest.mark.parametrize(
    ("response", "labels", "reward"),
    [
        ("Try this.", (1, 1), 0),
        ("Try this.", (1, 0), -2),
        ("", (1, 1), -5),
        ("silent\n", (1, 0), 0),
        (" ", (0, 1), 0),
        ("need=9 accept=4\n", (1, 1), 0),  # .45 against 2 / (2 + 4.75)
        ("need=0 accept=4\n", (1, 1), -5),
    ],
)
def test_what_a_response_costs(response: str, labels: tuple[int, int], reward: float) -> None:
    problem = Problem("p", "p", "speak", info={"y_need": labels[0], "y_acc": labels[1]})
    assert TASK.score(problem, response).reward == reward


def test_labels_follow_the_chances_and_tenths_round_down() -> None:
    problems = ProactiveStream(train_size=1500, test_size=50).problems("train")
    for which in ("need", "acc"):
        gap = sum(p.info[f"y_{which}"] - p.info[f"p_{which}"] for p in problems) / len(problems)
        assert abs(gap) < 0.04
    assert [tenth(p) for p in (0.0, 0.09, 0.1, 0.99, 1.0)] == [0, 0, 1, 9, 9]


def row(trace: str, offer: str | None, valid: bool, need: bool) -> str:
    events = [{"time": "1", "event": trace}, {"time": "2", "event": "opens a file"}]
    return json.dumps({"obs": events, "pred_task": offer, "valid": valid, "help_needed": need, "category": "c"})


def test_judged_rows_are_read_and_split_by_trace(tmp_path: Path) -> None:
    lines = [row(f"trace {at % 9}", "Help?" if at % 2 else None, at % 4 == 1, at % 3 == 0) for at in range(54)]
    (tmp_path / "train_data.jsonl").write_text("\n".join(lines))
    rows = read_judged(tmp_path)
    assert len(rows) == 54
    assert rows[1].offer == "Help?"
    assert (rows[0].accepted, rows[1].accepted, rows[3].accepted) == (None, True, False)
    assert rows[0].events == "1 trace 0\n2 opens a file"
    task = ProactiveStream(data=str(tmp_path / "train_data.jsonl"))
    traces = [{p.info["trace"] for p in task.problems(split)} for split in ("train", "test")]
    assert traces[0]
    assert traces[1]
    assert not traces[0] & traces[1]


@pytest.mark.parametrize("line", ["{", "{}", '{"obs": []}', row("t", None, True, True).replace("valid", "vaild")])
def test_lines_that_are_no_judged_rows(tmp_path: Path, line: str) -> None:
    (tmp_path / "rows.jsonl").write_text(row("t", None, True, True) + "\n" + line)
    with pytest.raises(PilothouseError, match="line 2: not a judged row"):
        read_judged(tmp_path / "rows.jsonl")
    with pytest.raises(PilothouseError, match="cannot read"):
        read_judged(tmp_path / "missing.jsonl")
