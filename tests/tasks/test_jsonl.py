import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import ScoreStatus
from pilothouse.tasks.base import Task
from pilothouse.tasks.jsonl import Jsonl, as_score

REWARDS = """
import math
def length(response): return len(response)
def row_aware(prompt, response, answer, **row): return response == answer and row["level"] == 2
def named(response, answer): return {"right": response == answer, "brief": -0.1 * len(response)}
def raises(response): raise RuntimeError("out of luck")
def quits(response): raise SystemExit(1)
def nan(response): return math.nan
def nothing(response): return None
def words(response): return "good"
def partly(response): return math.inf if response == "bad" else 1.0
def batch(prompts, responses, answers, rows):
    return [float(r == a) + row["level"] for r, a, row in zip(responses, answers, rows)]
def short(responses): return [1.0]
def batch_raises(responses): raise ValueError("no batch today")
def batch_one_bad(responses): return [1.0, None, math.nan][: len(responses)]
def stranger(text): return 1.0
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "rewards_for_tests.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return str(path)


def task_with(folder: Path, reward: str = "", **settings: Any) -> Jsonl:
    rows = [{"prompt": f"p{i}", "answer": i, "level": i % 3} for i in range(30)]
    data = write(folder / "rows.jsonl", rows)
    return Jsonl(data=data, reward=f"rewards_for_tests:{reward}" if reward else "", **settings)


def test_rows_become_problems(folder: Path):
    data = write(
        folder / "a.jsonl",
        [
            {"q": "2+2=", "a": 4, "worked": "2+2=4", "level": 1},
            {"q": [{"role": "user", "content": "hi"}], "a": "hello"},
        ],
    )
    task = Jsonl(data=data, prompt_field="q", answer_field="a", solution_field="worked", test_fraction=0)
    first, second = task.problems("train")
    assert (first.id, first.prompt, first.answer, first.solution) == ("train-1", "2+2=", "4", "2+2=4")
    assert first.info == {"level": 1}
    assert second.prompt == ({"role": "user", "content": "hi"},)
    assert task.problems("test") == []


def test_default_reward_is_the_stripped_answer(folder: Path):
    task = task_with(folder)
    problem = task.problems("train")[0]
    assert task.score(problem, f" {problem.answer}\n").correct is True
    assert task.score(problem, "other").parts == {"correct": 0}


def test_split_is_by_hash_disjoint_and_deaf_to_order(folder: Path):
    rows = [{"prompt": f"p{i % 50}", "answer": i} for i in range(100)]  # every prompt comes twice
    one = Jsonl(data=write(folder / "one.jsonl", rows), test_fraction=0.2)
    two = Jsonl(data=write(folder / "two.jsonl", rows[::-1]), test_fraction=0.2)
    held = {p.prompt for p in one.problems("test")}
    assert len(held) == 10
    assert len(one.problems("test")) == 20
    assert held == {p.prompt for p in two.problems("test")}
    assert not held & {p.prompt for p in one.problems("train")}


def test_a_test_file_takes_its_prompts_out_of_training(folder: Path):
    task = task_with(folder, test_data=write(folder / "t.jsonl", [{"prompt": "p3", "answer": 3}]))
    assert len(task.problems("train")) == 29
    assert [p.prompt for p in task.problems("test")] == ["p3"]
    assert task.self_check() == []


@pytest.mark.parametrize("count", [1, 2])
def test_tiny_files_keep_a_training_problem(folder: Path, count: int):
    task = Jsonl(data=write(folder / "a.jsonl", [{"prompt": str(i), "answer": ""} for i in range(count)]))
    assert [len(task.problems(split)) for split in ("train", "test")] == [1, count - 1]


def test_functions_once_a_response(folder: Path):
    task = task_with(folder, "length")
    problem = next(p for p in task.problems("train") if p.info["level"] == 2)
    assert task.score(problem, "four").reward == 4
    assert task.score(problem, "four").correct is None
    aware = task_with(folder, "row_aware")
    assert aware.score(problem, problem.answer).correct is True
    named = task_with(folder, "named").score(problem, problem.answer)
    assert named.parts == {"right": 1, "brief": pytest.approx(-0.1 * len(problem.answer))}
    assert named.reward == pytest.approx(1 - 0.1 * len(problem.answer))


def test_functions_once_a_batch(folder: Path):
    task = task_with(folder, "batch")
    problems = task.problems("train")[:3]
    scores = task.score_many([(problem, problem.answer) for problem in problems])
    assert [score.reward for score in scores] == [1 + problem.info["level"] for problem in problems]
    assert task.score_many([]) == []


@pytest.mark.parametrize(
    ("reward", "detail"),
    [
        ("raises", "RuntimeError: out of luck"),
        ("quits", "SystemExit"),
        ("nan", "not a finite number"),
        ("nothing", "None, which is not a number"),
        ("words", "'good', which is not a number"),
        ("short", "returned 1 rewards for 2 responses"),
        ("batch_raises", "no batch today"),
    ],
)
def test_failing_functions_are_counted_not_scored(folder: Path, reward: str, detail: str):
    task = task_with(folder, reward)
    scores = task.score_many([(problem, "x") for problem in task.problems("train")[:2]])
    assert [score.status for score in scores] == [ScoreStatus.ERROR] * 2
    assert all(np.isnan(score.reward) and detail in score.detail for score in scores)


def test_one_bad_reward_does_not_spoil_the_others(folder: Path):
    pairs = list(zip(task_with(folder).problems("train")[:3], ("ok", "bad", "ok"), strict=True))
    assert [score.status for score in task_with(folder, "partly").score_many(pairs)] == ["ok", "error", "ok"]
    assert [score.status for score in task_with(folder, "batch_one_bad").score_many(pairs)] == ["ok", "error", "error"]


def test_numbers_of_other_libraries_are_numbers():
    assert as_score(np.float32(0.5)).reward == 0.5
    assert as_score(True).correct is True
    assert as_score(np.array([1.0, 2.0])).status is ScoreStatus.ERROR
    assert as_score({}).status is ScoreStatus.ERROR
    assert "b: " in as_score({"a": 1, "b": None}).detail


@pytest.mark.parametrize(
    ("reward", "message"),
    [
        ("stranger", "takes neither 'response'"),
        ("missing", "cannot load reward"),
    ],
)
def test_a_wrong_function_is_refused_before_training(folder: Path, reward: str, message: str):
    with pytest.raises(ConfigError, match=message):
        task_with(folder, reward).problems("train")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{oops", r"rows\.jsonl, line 2: not JSON"),
        ("[1, 2]", r"line 2: not a JSON object"),
        ('{"text": "a", "answer": "b"}', r"line 2: field 'prompt' must be text.*set prompt_field"),
        ('{"prompt": [{"role": "user"}], "answer": "b"}', r"line 2: field 'prompt'"),
        ('{"prompt": "", "answer": "b"}', r"line 2: field 'prompt'"),
        ('{"prompt": "a"}', r"line 2: field 'answer' is missing; add it, or give a reward function"),
    ],
)
def test_a_bad_line_is_named_with_its_fix(tmp_path: Path, line: str, message: str):
    (tmp_path / "rows.jsonl").write_text('{"prompt": "a", "answer": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=message):
        Jsonl(data=str(tmp_path / "rows.jsonl")).problems("train")


def test_files_that_cannot_be_used(tmp_path: Path):
    (tmp_path / "empty.jsonl").write_text("\n\n")
    with pytest.raises(DataError, match="is empty; give at least one line"):
        Jsonl(data=str(tmp_path / "empty.jsonl")).problems("train")
    with pytest.raises(DataError, match="cannot read"):
        Jsonl(data=str(tmp_path / "none.jsonl")).problems("train")
    with pytest.raises(ConfigError, match="needs a file"):
        Jsonl().problems("train")
    with pytest.raises(ConfigError, match="did you mean 'test_fraction'"):
        Task.build({"name": "jsonl", "test_fractoin": 0.1})
