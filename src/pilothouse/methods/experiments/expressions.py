"""A toy with several right answers to every prompt, and a start that knows them with mistakes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.toys import Toy

LOWEST, HIGHEST = 4, 80
_DIGITS = range(1, 10)


class NoisyExpressions(Toy):
    """Write "TT=" as "a*b+c" with digits from 1 to 9; the demonstrations' last digit is sometimes wrong.

    Args:
        count: demonstrations.
        wrong: share of them whose last digit is another one.
    """

    name: ClassVar[str] = "pilothouse.methods.experiments.expressions:NoisyExpressions"
    response_limit: ClassVar[int] = 8
    count: Annotated[int, Field(ge=1)] = 8000
    wrong: Annotated[float, Field(ge=0, le=1)] = 0.3

    def problems(self, split: str) -> Sequence[Problem]:
        """Return a problem for each target that has an answer; there is no test split."""
        return [_target(value) for value in sorted(_answers())] if split == "train" else []

    def demonstrations(self, seeds: SeedTree) -> list[Problem]:
        """Return random right answers of random targets, a share of them spoilt."""
        rng, answers = seeds.numpy(), _answers()
        targets = sorted(answers)
        shown: list[Problem] = []
        for value in rng.choice(targets, size=self.count).tolist():
            a, b, c = answers[value][int(rng.integers(len(answers[value])))]
            if rng.random() < self.wrong:
                c = (c - 1 + int(rng.integers(1, 9))) % 9 + 1
            shown.append(_target(value, f"{a}*{b}+{c}"))
        return shown

    def score(self, problem: Problem, response: str) -> Score:
        """Reward 1 for an expression of the right form and value."""
        found = re.fullmatch(r"([1-9])\*([1-9])\+([1-9])", response)
        right = bool(found) and int(found[1]) * int(found[2]) + int(found[3]) == int(problem.answer)
        return Score(reward=float(right), correct=right)


def _answers() -> dict[int, list[tuple[int, int, int]]]:
    found: dict[int, list[tuple[int, int, int]]] = {}
    for a, b, c in product(_DIGITS, repeat=3):
        if LOWEST <= a * b + c <= HIGHEST:
            found.setdefault(a * b + c, []).append((a, b, c))
    return found


def _target(value: int, solution: str = "") -> Problem:
    return Problem(id=f"expression-{value}", prompt=f"{value:02d}=", answer=str(value), solution=solution)
