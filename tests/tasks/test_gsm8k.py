import json
from pathlib import Path

import pytest

from pilothouse.core.errors import ConfigError
from pilothouse.tasks import gsm8k as module
from pilothouse.tasks.gsm8k import Gsm8k

pytest.importorskip("math_verify")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Gsm8k:
    folder = tmp_path_factory.mktemp("gsm8k")
    rows = {
        "train": [("How many?", "He sells 40*40 = $<<40*40=1600>>1,600 worth.\n#### 1,600")],
        "test": [("How many?", "Same.\n#### 1"), ("Half?", "It is <<1/2=.5>>.5\n#### 0.5")],
    }
    for split, pairs in rows.items():
        lines = [json.dumps({"question": question, "answer": answer}) for question, answer in pairs]
        (folder / f"{split}.jsonl").write_text("\n".join(lines))
    return Gsm8k(data=str(folder), workers=1, deadline=60)


def test_problems(task: Gsm8k):
    problem = task.problems("train")[0]
    assert problem.answer == "1600"
    assert problem.solution == "He sells 40*40 = $1,600 worth.\nThe final answer is \\boxed{1600}."
    assert str(problem.prompt).startswith("How many?\nReason step by step")
    assert [p.answer for p in task.problems("test")] == ["0.5"]  # the question of the training set is left out
    chat = Gsm8k(data=task.data, chat=True).problems("train")[0].prompt
    assert isinstance(chat, tuple)
    assert chat[0]["role"] == "user"


def test_verdicts(task: Gsm8k):
    train, test = task.problems("train")[0], task.problems("test")[0]
    pairs = [
        (train, r"so \boxed{1,600}"),
        (train, "so 1599"),
        (test, r"\boxed{\frac{1}{2}}"),
        (test, ""),
        (train, "(("),
    ]
    scores = task.score_many(pairs)
    assert [score.reward for score in scores] == [1, 0, 1, 0, 0]
    assert scores[0].parts == {"correct": 1}
    assert task.self_check() == []


def test_without_math_verify_the_extra_is_named(task: Gsm8k, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pilothouse\[math\]"):
        Gsm8k(data=task.data).problems("train")


def test_real_gsm8k(gsm8k: Path):
    task = Gsm8k(data=str(gsm8k), deadline=60)
    assert [len(task.problems(split)) for split in ("train", "test")] == [7473, 1319]
    pairs = [(problem, problem.solution) for problem in task.problems("test")[:100]]
    assert [score.reward for score in task.score_many(pairs)] == [1] * 100
