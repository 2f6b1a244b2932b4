"""``pilothouse search`` as a user meets it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

TINY = ["--policy.size", "nano", "--policy.warm_start.epochs", "0.2", "--program.sampling.max_tokens", "12"]
WHERE = ["--task", "chain-arithmetic", *TINY, "--n", "6"]


def test_a_search_leaves_figures_traces_and_pictures(cli: Any) -> None:
    said = cli("search", "best-of-n", *WHERE, "--budget", "1,2-samples,36-tokens", "--out", "found")
    assert said.status == 0, said.err
    assert "3-samples" not in said.out
    found = json.loads(Path("found/result.json").read_text())
    assert [row["budget"] for row in found["budgets"]] == ["1-samples", "2-samples", "36-tokens"]
    for row, most in zip(found["budgets"], (12, 24, 36), strict=True):
        assert row["problems"] == 6
        assert row["low"] <= row["accuracy"] <= row["high"]
        assert 0 < row["per_problem"]["tokens_sampled"] <= most
    rows = [json.loads(line) for line in Path("found/traces.jsonl").read_text().splitlines()]
    assert len(rows) == 18
    assert {len(row["trace"]["nodes"]) for row in rows if row["budget"] == "36-tokens"} == {4}
    assert Path("found/figures/search.svg").read_text().startswith("<svg")
    assert Path("found/figures/accuracy.png").is_file()
    assert "for example" in said.out
    assert "found/figures/search.svg" in said.out


def test_a_search_repeats_exactly_and_problems_do_not_depend_on_the_program(cli: Any) -> None:
    first, again, other = (
        cli("search", name, *WHERE, "--seed", "3", "--json").json() for name in ("best-of-n", "best-of-n", "group")
    )
    for found in (first, again):
        for row in found["budgets"]:
            for table in (row["cost"], row["per_problem"]):
                del table["seconds"]
        del found["path"], found["picture"]
    assert first == again
    assert other["example"]["prompt"] == first["example"]["prompt"]


def test_a_method_searches_with_its_own_program_and_a_run_with_its_own_task(cli: Any, finished: Path) -> None:
    found = cli("search", "grpo", "--model", finished, "--n", "4", "--json").json()
    assert (found["program"], found["task"], found["method"]) == ("group", "chain-arithmetic", "grpo")
    assert found["budgets"][0]["budget"] == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["best-of-m", *WHERE], "unknown method or program 'best-of-m'; did you mean 'best-of-n'?"),
        (["best-of-n", *WHERE, "--budget", "lots"], "'lots' is not a budget"),
        (["best-of-n", *WHERE, "--budget", "11-tokens"], "does not pay for one response of up to 12 tokens"),
        (["best-of-n", *WHERE, "--program.m", "4"], "unknown setting 'm'"),
        (["best-of-n", *WHERE, "--training.steps", "4"], "unknown setting 'training' of a search"),
        (["best-of-n", *WHERE, "--scorer", "exact-step"], "unknown scorer 'exact-step'; did you mean 'exact-steps'?"),
        (["best-of-n", "--task", "sorting", *TINY, "--n", "4"], "task 'sorting' cannot check single steps"),
        (["best-of-n", *WHERE, "--scorer", "value-head"], "model 'tiny' has no value head"),
        (["best-of-n", *TINY], "which task? give --task NAME"),
        (["best-of-n", "--task", "chain-arithmetic", "--n", "0"], "--n counts from 1, not 0"),
    ],
)
def test_mistakes_are_one_sentence_and_leave_no_folder(cli: Any, arguments: list[str], message: str) -> None:
    assert message in cli("search", *arguments).refusal()
    assert not Path("runs").exists()


def test_a_method_may_read_a_table_off_its_traces(cli: Any) -> None:
    task = ["--task", "plan-chain", "--task.train_size", "300", "--task.test_size", "20", *TINY[:4]]
    said = cli("search", "thought-branches", *task, "--n", "2", "--program.n", "3", "--program.most", "2", "--out", "a")
    assert said.status == 0, said.err
    found = json.loads(Path("a/result.json").read_text())
    assert len(found["report"]) == 2
    given = ["--program.chain", "a. P. b. =yes"]
    said = cli("search", "thought-branches", *task, "--n", "1", "--program.n", "3", *given, "--out", "b")
    rows = json.loads(Path("b/result.json").read_text())["report"][0]["rows"]
    assert [row["sentence"] for row in rows] == ["a.", "P.", "b."]
    assert "CI++" in said.out
