from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from pilothouse.reports.tables import markdown_table, print_result


def rows_of(console):
    lines = console.file.getvalue().splitlines()
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]


def test_closing_table_holds_before_after_gain_and_cost(console, result):
    print_result(result, Path("runs/grpo-sorting"), console)
    rows = rows_of(console)
    assert ["sampled", "40.0 % [35.0, 45.0]", "60.0 % [55.0, 65.0]", "+20.0 [+15.0, +25.0]"] in rows
    assert ["greedy", "50.0 % [45.0, 55.0]", "70.0 % [65.0, 75.0]", "+20.0 [?, +25.0]"] in rows
    assert ["training tokens sampled", "123,456", ""] in rows
    assert [row for row in rows if row[0] == "update"] == [["update", "2 min 10 s", "65 %"]]
    assert ["all phases", "3 min 20 s", ""] in rows
    text = console.file.getvalue()
    assert "1,024 problems; in brackets 95 % intervals" in text
    assert "figure  runs/grpo-sorting/figures/training.png\n" in text
    assert text.endswith("run     runs/grpo-sorting\n")


def test_closing_table_fits_eighty_columns(result):
    console = Console(file=io.StringIO(), width=80, color_system=None)
    print_result(result, Path("run"), console)
    assert ["greedy", "50.0 % [45.0, 55.0]", "70.0 % [65.0, 75.0]", "+20.0 [?, +25.0]"] in rows_of(console)


def test_a_run_that_is_not_finished_has_only_its_start(console, result):
    print_result({"finished": False, "before": result["before"]}, Path("run"), console)
    assert ["sampled", "40.0 % [35.0, 45.0]", "-", "-"] in rows_of(console)
    assert "figure" not in console.file.getvalue()


def test_markdown_table_golden():
    assert markdown_table(["name", "n", "note"], [["a|b", 1, "x"], ["c", 20.5, "two\nlines"]]) == "\n".join(
        [
            "| name | n    | note      |".replace("n    |", "   n |"),
            "| ---- | ---: | --------- |",
            "| a\\|b |    1 | x         |",
            "| c    | 20.5 | two lines |",
        ]
    )
    assert markdown_table(["a"], []) == "| a   |\n| --- |"
    with pytest.raises(ValueError, match="2 cells"):
        markdown_table(["a", "b"], [["only one"]])
