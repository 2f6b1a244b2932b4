"""What every task of the catalogue must keep."""

import json
from pathlib import Path
from typing import Any

import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import ScoreStatus
from pilothouse.tasks.base import Task

WORDS = [
    {"question": f"How much is {i} and {i}?", "answer": f"<<{i}+{i}={2 * i}>>{2 * i}\n#### {2 * i}"}
    for i in range(1, 9)
]
ROWS = [{"prompt": f"say {i}", "answer": str(i), "solution": f" {i}\n"} for i in range(20)]
SMALL: dict[str, Any] = {"train_size": 200, "test_size": 50}

SETTINGS: dict[str, dict[str, Any]] = {
    "chain-arithmetic": SMALL,
    "check-chain": SMALL,
    "countdown": SMALL,
    "gsm8k": {"deadline": 60, "workers": 1},
    "gsm8k-calc": {"data": "generated", **SMALL},
    "jsonl": {},
    "knights-and-knaves": SMALL,
    "plan-chain": SMALL,
    "proactive-stream": SMALL,
    "sorting": SMALL,
}

#: Tasks that pay what a decision costs: silence is an answer there, and any text an offer.
COSTS = {"proactive-stream"}


@pytest.fixture(params=sorted(Task.catalogue.classes()))
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Task:
    name = request.param
    if name == "gsm8k":
        pytest.importorskip("math_verify")
        for split, rows in (("train", WORDS[:4]), ("test", WORDS[4:])):
            (tmp_path / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = {"gsm8k": tmp_path, "jsonl": tmp_path / "rows.jsonl"}.get(name)
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)))
    return Task.build({"name": name, **SETTINGS[name], **({"data": str(data)} if data else {})})


def test_a_task_is_fit_for_use(task: Task):
    assert task.self_check() == []
    for split in ("train", "test"):
        problems = task.problems(split)
        assert problems
        assert len({problem.id for problem in problems}) == len(problems)
        assert all(problem.prompt for problem in problems)
    assert len(task.source().splitlines()) == 1


def test_problems_depend_on_the_settings_alone(task: Task):
    again = Task.build(task.model_dump())
    assert [p for split in ("train", "test") for p in again.problems(split)] == [
        p for split in ("train", "test") for p in task.problems(split)
    ]


def test_solutions_fit_the_limit_the_stop_and_the_characters(task: Task):
    if not task.character_set:
        pytest.skip("needs a full tokenizer")
    for problem in (*task.problems("train"), *task.problems("test")):
        assert set(str(problem.prompt) + problem.solution) <= set(task.character_set)
        assert 0 < len(problem.solution) <= task.limit
        stops = [stop for stop in task.stop if stop in problem.solution]
        assert stops
        assert all(problem.solution.index(stop) == len(problem.solution) - len(stop) for stop in stops)
    assert len(set(task.character_set)) == len(task.character_set)


def test_verdicts_are_the_same_with_and_without_the_stop_string(task: Task):
    problem = task.problems("train")[0]
    cut = problem.solution
    for stop in task.stop:
        cut = cut.removesuffix(stop)
    assert task.score(problem, cut) == task.score(problem, problem.solution)
    assert task.score(problem, cut).correct


@pytest.mark.parametrize("response", ["", " ", "\n", "=", "))((", "1/0", "∞", "0" * 5000, "(" * 5000, "=" * 5000, "٣"])
def test_rubbish_is_wrong_and_nothing_worse(task: Task, response: str):
    score = task.score(task.problems("train")[0], response)
    assert score.status is ScoreStatus.OK
    if task.name not in COSTS:
        assert (score.reward, score.correct) == (0, False)


def test_score_many_is_score(task: Task):
    problems = task.problems("test")[:3]
    pairs = [(problem, response) for problem in problems for response in (problem.solution, "no")]
    scores = task.score_many(pairs)
    assert scores == [task.score(problem, response) for problem, response in pairs]
    if task.name in COSTS:
        return
    assert [score.reward for score in scores] == [1, 0] * len(problems)
    assert all(score.parts["correct"] == score.reward for score in scores)


def test_an_unknown_split_is_refused(task: Task):
    with pytest.raises(ConfigError, match="no split 'tset'; did you mean 'test'"):
        task.problems("tset")
