import json
from fractions import Fraction
from pathlib import Path

import pytest

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.problems import Problem
from pilothouse.tasks import gsm8k_calc
from pilothouse.tasks.base import Task
from pilothouse.tasks.gsm8k_calc import Gsm8kCalc, agrees
from pilothouse.tasks.gsm8k_data import from_hub


def write(folder: Path, **splits: list[str]) -> Path:
    for split, answers in splits.items():
        rows = [json.dumps({"question": "?", "answer": answer}) for answer in answers]
        (folder / f"{split}.jsonl").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture
def small(tmp_path: Path) -> Gsm8kCalc:
    train = ["so <<16-3-4=9>>9 and <<16-3-4=9>>9, <<5=5>>5", "wrong <<2+2=5>>5, rounded <<100/3=33.33>>33.33"]
    test = ["<<16-3-4=9>>9 <<37*24=888>>888 <<18*.5=9.00>>9"]
    return Gsm8kCalc(data=str(write(tmp_path, train=train, test=test)))


def test_distinct_calculations_whose_results_agree(small: Gsm8kCalc):
    assert [p.prompt for p in small.problems("train")] == ["16-3-4=", "100/3="]
    assert [p.prompt for p in small.problems("test")] == ["37*24=", "18*.5="]
    assert [p.answer for p in small.problems("test")] == ["888", "9"]
    assert "1 without an operator, 1 marked with another result" in small.source()


def test_solutions_in_three_forms(small: Gsm8kCalc):
    wanted = {"direct": "888\n", "reduce": "888\n", "expand": "37*20+37*4=740+148=888\n"}
    for steps, solution in wanted.items():
        small.steps = steps
        assert small.problems("test")[0].solution == solution
    small.steps, small.longest = "expand", 5
    assert small.problems("train")[0].solution == "9\n"  # too long for its chain: shortened, never left out


@pytest.mark.parametrize(
    ("response", "correct", "formed"),
    [
        ("13-4=9\n", 1, 1),
        ("9", 1, 1),
        ("13-4=9.0", 1, 1),
        ("13-4=8\n", 0, 1),
        ("13--4==9", 1, 0),
        ("blah=9", 1, 0),
        ("16-3-4", 0, 0),
        ("13-4=", 0, 0),
        ("", 0, 0),
        ("9=9x", 0, 0),
    ],
)
def test_verdict(small: Gsm8kCalc, response: str, correct: int, formed: int):
    score = small.score(small.problems("train")[0], response)
    assert (score.reward, score.correct) == (correct, bool(correct))
    assert score.parts == {"correct": correct, "format": formed}


@pytest.mark.parametrize(("response", "correct"), [("33.33", 1), ("33.333", 1), ("33.3", 0), ("33", 0), ("33.34", 0)])
def test_rounded_results_need_the_decimals_that_were_marked(small: Gsm8kCalc, response: str, correct: int):
    assert small.score(small.problems("train")[1], response).reward == correct


def test_agreement_is_within_half_a_shown_unit():
    assert agrees(Fraction(2, 3), "0.67")
    assert not agrees(Fraction(2, 3), "0.66")
    assert agrees(Fraction(3, 4), "3/4")
    assert not agrees(Fraction(3, 4), "2/3")


def test_a_problem_without_value_is_a_failure_of_the_verifier_not_a_zero(small: Gsm8kCalc):
    score = small.score(Problem("x", "1/0=", info={"expression": "1/0", "marked": "0"}), "0")
    assert score.status == "error"


def test_generated_is_seeded_disjoint_and_says_what_it_is():
    task = Gsm8kCalc(data="generated", train_size=300, test_size=100)
    assert task.self_check(1000) == []
    assert [len(task.problems(split)) for split in ("train", "test")] == [300, 100]
    assert task.problems("test") == Gsm8kCalc(data="generated", train_size=300, test_size=100).problems("test")
    assert task.problems("test") != Gsm8kCalc(data="generated", train_size=300, test_size=100, seed=1).problems("test")
    assert "not GSM8K itself" in task.source()
    assert "\n" not in task.source()


def test_without_hub_the_generator_steps_in_and_says_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gsm8k_calc, "from_hub", lambda: None)
    assert "because GSM8K is not here" in Gsm8kCalc(train_size=20, test_size=5).source()
    with pytest.raises(DataError, match="give a folder"):
        Gsm8kCalc(data="openai/gsm8k").problems("train")


def test_an_unreachable_hub_is_given_up(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert from_hub() is None


@pytest.mark.parametrize("line", ["{", '{"question": "a"}', "[1]"])
def test_a_malformed_line_is_named(tmp_path: Path, line: str):
    write(tmp_path, train=["<<1+1=2>>"], test=["<<1+2=3>>"])
    (tmp_path / "test.jsonl").write_text('{"question": "a", "answer": "b"}\n' + line + "\n")
    with pytest.raises(DataError, match=r"test\.jsonl, line 2"):
        Gsm8kCalc(data=str(tmp_path)).problems("train")


def test_a_missing_folder_names_the_fix(tmp_path: Path):
    with pytest.raises(DataError, match=r"give a folder with GSM8K's train\.jsonl"):
        Gsm8kCalc(data=str(tmp_path / "none")).problems("train")


def test_an_unknown_split_is_refused(small: Gsm8kCalc):
    with pytest.raises(ConfigError, match="did you mean 'train'"):
        small.problems("trian")


def test_real_gsm8k(gsm8k: Path):
    task = Task.build({"name": "gsm8k-calc", "data": str(gsm8k)})
    assert task.self_check(100_000) == []
    train, test = task.problems("train"), task.problems("test")
    assert len(train) > 10_000
    assert len(test) > 1_300
    used = {char for p in (*train, *test) for char in str(p.prompt) + p.solution}
    assert used <= set(task.character_set)
    assert max(len(p.solution) for p in (*train, *test)) <= task.limit
