from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from pilothouse.core.errors import RunError
from pilothouse.reports.figures import intervals_figure, lines_figure, smooth, training_figure
from pilothouse.reports.statistics import Interval, wilson

ROWS = [
    {"step": s, "reward": s / 10, "accuracy": 0.5, "entropy": 1.0, "length": 8.0, "truncated": 0.1} for s in range(1, 9)
]


def is_png(path):
    return path.read_bytes().startswith(b"\x89PNG")


def test_training_figure_draws_png_and_svg_with_units(tmp_path):
    rows = [*ROWS, {"step": 9, "reward": None, "held_out": 0.5, "held_out_low": 0.4, "held_out_high": 0.6}]
    path = training_figure(rows, tmp_path / "figures" / "training.v1", title="grpo on sorting")
    assert path == tmp_path / "figures" / "training.v1.png"
    assert is_png(path)
    drawn = path.with_suffix(".svg").read_text()
    for text in ("grpo on sorting", "nats per token", "tokens", "right answers (%)", "training step", "held-out"):
        assert f"<!-- {text}" in drawn
    assert {p.name for p in path.parent.iterdir()} == {"training.v1.png", "training.v1.svg"}


@pytest.mark.parametrize(
    "rows", [[], [{"step": 1}], [{"step": 1, "reward": float("nan"), "truncated": None}], ROWS[:1]]
)
def test_training_figure_of_a_run_that_hardly_began(tmp_path, rows):
    assert is_png(training_figure(rows, tmp_path / "training"))


def test_the_same_rows_draw_the_same_bytes(tmp_path):
    first, again = (training_figure(ROWS, tmp_path / name).with_suffix(".svg") for name in ("a", "b"))
    assert first.read_bytes() == again.read_bytes()


def test_figures_of_claims(tmp_path):
    intervals = [wilson(4, 10), Interval(0.5, -np.inf, np.inf, 0.95, 1)]
    assert is_png(intervals_figure(["a", "b"], intervals, tmp_path / "i", unit="accuracy", reference=0.3, title="t"))
    assert is_png(lines_figure({"a": intervals}, [1, 2], tmp_path / "l", x_label="samples", y_label="accuracy"))
    assert "<!-- samples" in (tmp_path / "l.svg").read_text()


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot write"):
        training_figure(ROWS, tmp_path / "file" / "training")


def test_smooth_golden():
    values = np.array([1.0, 2.0, np.nan, 6.0])
    assert smooth(values, 3).tolist() == [1.5, 1.5, 4.0, 6.0]
    assert smooth(values, 1)[[0, 1, 3]].tolist() == [1.0, 2.0, 6.0]
    assert np.isnan(smooth(np.full(3, np.nan), 3)).all()
    assert len(smooth(np.array([]), 1)) == 0


def test_importing_reports_loads_neither_torch_nor_what_only_some_need():
    rooms = "runs files statistics progress figures tables sinks evidence show catalogue"
    code = f"""import sys
for name in '{rooms}'.split(): __import__('pilothouse.reports.' + name)
print([m for m in ('torch', 'matplotlib', 'rich', 'tensorboard', 'wandb', 'trackio') if m in sys.modules])"""
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
