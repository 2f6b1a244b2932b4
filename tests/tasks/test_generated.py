"""Golden verdicts of the generated tasks."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Problem
from pilothouse.tasks.base import Task
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.tasks.check_chain import CheckChain, partial_sums
from pilothouse.tasks.countdown import Countdown
from pilothouse.tasks.knights_and_knaves import KnightsAndKnaves, contradiction, holds, solutions, worlds
from pilothouse.tasks.plan_chain import PLAN, PlanChain
from pilothouse.tasks.sorting import Sorting

GENERATED = [
    "chain-arithmetic",
    "check-chain",
    "countdown",
    "knights-and-knaves",
    "plan-chain",
    "proactive-stream",
    "sorting",
]


@pytest.mark.parametrize("name", GENERATED)
def test_the_seed_decides_and_the_size_is_kept(name: str):
    sizes = {"name": name, "train_size": 60, "test_size": 20}
    tasks = [Task.build({**sizes, "seed": seed}) for seed in (0, 0, 1)]
    first, again, other = ([p.prompt for p in task.problems("train")] for task in tasks)
    assert first == again != other
    assert [len(tasks[0].problems(split)) for split in ("train", "test")] == [60, 20]


def test_a_space_that_is_too_small_is_refused_with_the_sizes_that_fit():
    with pytest.raises(ConfigError, match=r"lower train_size to \d+ and test_size to \d+"):
        Sorting(shortest=1, longest=1).problems("train")


def test_settings_follow_assignment():
    task = Sorting(train_size=20, test_size=5)
    assert len(task.problems("train")) == 20
    task.train_size = 10
    assert len(task.problems("train")) == 10


CHAIN = Problem("", "4+7*3-2:", "1", "4+7=1\n1*3=3\n3-2=1.")


@pytest.mark.parametrize(
    ("response", "checks", "correct", "share"),
    [
        ("4+7=1\n1*3=3\n3-2=1.", [True, True, True], 1, 1),
        ("4+7=1\n1*3=3\n3-2=1", [True, True, True], 1, 1),
        ("4+7=2\n2*3=6\n6-2=4.", [False, True, True], 0, 2 / 3),  # one mistake, then right from the wrong value
        ("4+7=1\n1*3=4\n3-2=1", [True, False, False], 1, 1 / 3),  # the last step ignores the line before it
        ("4+7=1\n1*2=2\n", [True, False], 0, 1 / 3),
        ("4+7=1", [True], 1, 1 / 3),
        ("4+7=1\n1*3=3\n3-2=1\n1+0=1", [True, True, True, False], 1, 3 / 4),
        ("4+7=11\n", [False], 0, 0),
        ("", [], 0, 0),
    ],
)
def test_chain_steps_are_checked_one_by_one(response: str, checks: list[bool], correct: int, share: float):
    task = ChainArithmetic(chain_steps=3)
    assert task.check_steps(CHAIN, response) == checks
    score = task.score(CHAIN, response)
    assert score.reward == correct
    assert score.parts["steps"] == pytest.approx(share)


@given(st.integers(3, 30), st.integers(1, 12), st.integers(0, 99))
def test_chain_solutions_are_right_at_every_step_and_mistakes_last(modulus: int, steps: int, seed: int):
    task = ChainArithmetic(modulus=modulus, chain_steps=steps)
    problem = task.draw(np.random.default_rng(seed))
    assert task.check_steps(problem, problem.solution) == [True] * steps
    assert len(problem.solution) <= task.limit
    start = str(problem.prompt)[: len(str(problem.prompt)) - len(str(problem.prompt).lstrip("0123456789"))]
    shifted = str((int(start) + 1) % modulus) + str(problem.prompt)[len(start) :]
    assert task.score(Problem("", shifted, problem.answer), problem.solution).parts["steps"] < 1


def test_chain_operations_are_those_asked_for():
    task = ChainArithmetic(operations="+", train_size=50, test_size=10)
    assert not {char for p in task.problems("train") for char in str(p.prompt)} & set("-*")
    with pytest.raises(ConfigError, match="name at least one"):
        Task.build({"name": "chain-arithmetic", "operations": "/"})


@pytest.mark.parametrize(
    ("response", "correct", "formed", "checks"),
    [
        ("7;2;1;A1\n", 1, 1, 0),
        ("7;2;1;?7;2;1;A1", 1, 1, 1),
        ("7;2;2;?7;2;2;?7;2;1;A1", 1, 1, 2),
        ("7;2;1;A2", 0, 1, 0),
        ("A1", 1, 0, 0),
        ("7;2;1;", 0, 0, 0),
        ("1", 0, 0, 0),
    ],
)
def test_check_chain_verdicts(response: str, correct: int, formed: int, checks: int):
    problem = Problem("", "H 3+4+5+9=", "1", info={"hard": True})
    assert partial_sums("H 3+4+5+9=") == [7, 2, 1]
    parts = CheckChain().score(problem, response).parts
    assert parts == {"correct": correct, "format": formed, "checks": checks}


def test_imperfect_attempts_have_the_stated_rates():
    task, rng = CheckChain(), np.random.default_rng(0)
    hard = Problem("", "H 3+4+5+9=", "1", info={"hard": True})
    easy = Problem("", "E 3+4=", "7", info={"hard": False})
    attempts = [task.attempt(hard, rng) for _ in range(4000)]
    unchecked = [text for text in attempts if "?" not in text]
    assert len(unchecked) / 4000 == pytest.approx(0.3, abs=0.03)
    # right at once: no slip (0.75^3), or slips that cancel, at most one draw in nine of the rest
    right = sum(task.score(hard, text).reward for text in unchecked) / len(unchecked)
    assert 0.37 < right < 0.53
    # n passes repair with 1 - 0.5^n, so checking longer is worth it on hard problems and useless on easy ones
    longer = [text for text in attempts if text.count("?") >= 4]
    assert sum(task.score(hard, text).reward for text in longer) / len(longer) > 0.93
    assert all(task.score(easy, task.attempt(easy, rng)).reward for _ in range(200))
    assert max(len(text) for text in attempts) <= task.limit


def test_check_chain_alternates_easy_and_hard():
    kinds = [str(p.prompt)[0] for p in CheckChain(train_size=10, test_size=4).problems("train")]
    assert kinds == ["E", "H"] * 5


@pytest.mark.parametrize(
    ("response", "correct", "formed"),
    [
        ("3*7+8\n", 1, 1),
        ("8+(7*3)", 1, 1),
        ("3*7-8", 0, 1),
        ("29", 0, 0),
        ("3*7+8+0", 0, 0),
        ("3*7+8+8-8", 0, 0),
        ("37-8", 0, 0),
        ("3*7--8", 0, 0),
        ("3*7+8=29", 0, 0),
    ],
)
def test_countdown_uses_every_number_once(response: str, correct: int, formed: int):
    problem = Problem("", "3,7,8>29:", "29", info={"numbers": (3, 7, 8)})
    score = Countdown().score(problem, response)
    assert (score.reward, score.parts["format"]) == (correct, formed)


def test_countdown_division_by_zero_is_wrong():
    problem = Problem("", "1,2,2>1:", "1", info={"numbers": (1, 2, 2)})
    assert Countdown().score(problem, "1/(2-2)").parts == {"correct": 0, "format": 1}


def test_sorting_errors_golden():
    task, problem = Sorting(), Problem("", "7315:", "1357")
    assert task.score(problem, "1357\n").parts == {"correct": 1, "errors": 0}
    assert task.errors(problem, "1537") == 1  # one descent
    assert task.errors(problem, "135") == 1  # 7 is missing
    assert task.errors(problem, "11357") == 1  # a surplus 1
    assert task.errors(problem, "") == 4


@given(st.permutations("0123456"))
def test_only_the_sorted_order_has_no_errors(digits: list[str]):
    problem = Problem("", "", "0123456")
    assert (Sorting().errors(problem, "".join(digits)) == 0) == (digits == sorted(digits))


def test_claims_golden():
    assert holds("b", "Abc")
    assert not holds("B", "Abc")
    assert holds("A&c", "Abc")
    assert not holds("a&c", "Abc")
    assert holds("a|c", "Abc")
    assert holds("a=B", "Abc")  # both false
    assert not holds("A=B", "Abc")
    with pytest.raises(ValueError, match="not a claim"):
        holds("A&", "Abc")


def test_puzzle_golden():
    # A: "B is a knave", B: "A and C are of one kind", C: "A is a knight or B is a knave"
    claims = ["b", "A=C", "A|b"]
    assert worlds(2) == ["AB", "Ab", "aB", "ab"]
    assert contradiction(claims, "ABC") == "A"
    assert contradiction(claims, "AbC") == "B"
    assert solutions(["b", "a"]) == ["Ab", "aB"]  # ambiguous: never drawn


@given(st.integers(2, 4), st.integers(0, 200))
def test_puzzles_have_exactly_one_solution(people: int, seed: int):
    task = KnightsAndKnaves(people=people)
    problem = task.draw(np.random.default_rng(seed))
    claims = [word.partition(":")[2] for word in str(problem.prompt).rstrip(";").split()]
    assert solutions(claims) == [problem.answer]
    assert len(problem.solution) <= task.limit
    right = [world for world in worlds(people) if task.score(problem, world).correct]
    assert right == [problem.answer]


def test_verdict_reads_the_last_word():
    problem = Problem("", "A:b B:a&C;", "Ab")
    task = KnightsAndKnaves(people=2)
    assert task.score(problem, "AB-A Ab\n").reward == 1
    assert task.score(problem, "Ab aB").parts == {"correct": 0, "format": 1}
    assert task.score(problem, "AB-A").parts == {"correct": 0, "format": 0}
    assert not any(task.score(problem, "".join(order)).reward for order in permutations("Aba"))


def test_plan_chains_follow_their_causal_model():
    task, rng = PlanChain(), np.random.default_rng(0)
    chains = [task.go_on("", rng) for _ in range(4000)]
    assert all(len(chain.split(". ")) == 9 and chain.count(PLAN) <= 1 for chain in chains)
    first = [chain.startswith(PLAN) for chain in chains]
    assert np.mean(first) == pytest.approx(0.5, abs=0.03)
    never = ["P." not in chain for chain in chains]
    assert np.mean(never) == pytest.approx(0.5 * 0.65**7, abs=0.008)
    made = [task.answer_of(chain) == "yes" for chain in chains if PLAN in chain]
    assert np.mean(made) == pytest.approx(0.9, abs=0.02)
    rest = [task.go_on("a. b. ", rng) for _ in range(4000)]
    assert {len(chain.split(". ")) for chain in rest} == {7}
    assert np.mean([chain.startswith(PLAN) for chain in rest]) == pytest.approx(0.35, abs=0.03)
    without = PlanChain(restate=0.0, first=0.0)
    answers = [without.answer_of(without.go_on("", rng)) == "yes" for _ in range(4000)]
    assert np.mean(answers) == pytest.approx(0.1, abs=0.02)


@pytest.mark.parametrize(
    ("response", "reward", "planned"),
    [
        ("a. P. =yes\n", 1, 1),
        ("a. =no =yes", 1, 0),
        ("a. =no", 0, 0),
        ("yes", 0, 0),
        ("P. =yesno", 0, 1),
    ],
)
def test_plan_chain_verdicts(response: str, reward: int, planned: int):
    score = PlanChain().score(Problem("", "#1:", "yes"), response)
    assert (score.reward, score.parts["planned"]) == (reward, planned)
