from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pilothouse.reports.files import dumps
from pilothouse.reports.runs import RunStore
from pilothouse.reports.show import one_line, print_run, readable, sparkline, summary


def test_summary_holds_the_newest_step_and_its_extremes(finished):
    facts = summary(finished)
    assert facts["steps"] == 3
    assert facts["last"]["reward"] == 0.75
    assert facts["curves"]["reward"] == [0.25, 0.5, 0.75]
    assert facts["config"]["seed"] == 7
    assert facts["figure"] == str(finished.path / "figures" / "training.png")
    assert [row["reward"] for row in facts["best"]] == [1.0, 0.5]
    assert [row["reward"] for row in facts["worst"]] == [0.0], "a rollout is quoted once, an unjudged one never"
    assert all(row["step"] == 3 for row in facts["best"])
    assert facts["result"]["finished"]
    dumps(facts)


def test_show_prints_what_a_reader_needs(finished, console):
    print_run(finished, console)
    text = console.file.getvalue()
    for piece in (
        "grpo on sorting(max_tokens=32), seed 7",
        "program    group(n=4, sampling=(temperature=1))",
        "3 of 3 steps  reward 0.750  length 5.0",
        "▁▅█  0.25 -> 0.75",
        "60.0 % [55.0, 65.0]",
        "best of step 3: reward 1, 4 tokens",
        "3 1⏎",
        "-> 3: \\x1b[31m1",
    ):
        assert piece in text
    assert "\x1b" not in text
    assert text.count("figure  ") == 1


def test_a_run_that_just_began_can_be_shown(tmp_path, console):
    store = RunStore.create(tmp_path / "run", "grpo", "sorting")
    store.write_config({"method": "grpo", "training": {"steps": 5}})
    assert summary(store)["result"] is None
    print_run(store, console)
    assert "0 of 5 steps" in console.file.getvalue()


def test_sparkline_golden():
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([1.0, None, 2.0]) == "▁ █"
    assert sparkline([3.0, 3.0]) == "▅▅"
    assert sparkline([0.0, 0.0, 1.0, 1.0], width=2) == "▁█"
    assert sparkline([]) == sparkline([None, math.nan]) == ""


@given(st.lists(st.none() | st.floats(width=32), max_size=200), st.integers(1, 60))
def test_sparkline_takes_any_curve(values, width):
    assert len(sparkline(values, width)) <= width


def test_one_line():
    assert one_line({"name": "sum", "terms": [{"weight": 0.5, "part": {"name": "grpo"}}]}) == (
        "sum(terms=[(weight=0.5, part=grpo)])"
    )


@given(st.text(max_size=60), st.integers(1, 30))
def test_readable_text_is_printable_and_one_line(text, limit):
    assert readable(text, limit).isprintable()


def test_readable_says_how_much_it_cut():
    assert readable("abcdef", 2) == "ab ... (4 more characters)"
