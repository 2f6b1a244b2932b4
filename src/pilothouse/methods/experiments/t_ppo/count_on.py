"""Counting on from a digit, so and so many digits: a task whose response lengths have as heavy a tail as is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.toys import Toy

#: By tail: how many digits are asked for, and how often.
TAILS: dict[str, dict[int, int]] = {
    "A": {4: 5, 6: 4, 8: 3, 12: 2, 18: 1, 24: 1},
    "B": {4: 8, 6: 6, 10: 3, 16: 2, 42: 1},
}
LIMITS = {"A": 26, "B": 44}


class CountOn(Toy):
    """Answer "sNN=" with NN digits, s first and each one more than the one before, modulo ten (``308=`` -> 34567890).

    Args:
        tail: which lengths are asked for: "A" up to 24 digits, "B" mostly few and sometimes 42.
        digit_noise: share of the demonstrations' digits that are wrong.
        wrong_length: share of the demonstrations that are a digit or two too long or too short.
        count: demonstrations.
    """

    name: ClassVar[str] = "pilothouse.methods.experiments.t_ppo.count_on:CountOn"
    character_set: ClassVar[str] = "0123456789="
    tail: Literal["A", "B"] = "B"
    digit_noise: Annotated[float, Field(ge=0, le=1)] = 0.05
    wrong_length: Annotated[float, Field(ge=0, le=1)] = 0.25
    count: Annotated[int, Field(ge=1)] = 16_000

    @property
    def limit(self) -> int:
        """Response length limit in tokens: ``max_tokens`` if set, else two more than the longest answer has digits."""
        return self.max_tokens or LIMITS[self.tail]

    def problems(self, split: str) -> Sequence[Problem]:
        """Return each length from each digit, as often as the tail says; there is no test split."""
        lengths = [length for length, times in TAILS[self.tail].items() for _ in range(times)]
        if split != "train":
            return []
        return [_counting(digit, n, f"count-{at}-{digit}") for at, n in enumerate(lengths) for digit in range(10)]

    def demonstrations(self, seeds: SeedTree) -> list[Problem]:
        """Return problems with answers that may be wrong in single digits and in length.

        Args:
            seeds: node that draws them.
        """
        rng, problems = seeds.numpy(), self.problems("train")
        shown: list[Problem] = []
        for at in rng.integers(len(problems), size=self.count).tolist():
            problem = problems[at]
            length = len(problem.answer)
            if rng.random() < self.wrong_length:
                length = max(1, length + int(rng.choice([-2, -1, 1, 2])))
            digits = [(int(problem.answer[0]) + i) % 10 for i in range(length)]
            wrong = rng.random(length) < self.digit_noise
            shift = rng.integers(1, 10, size=length)
            text = "".join(str((d + int(s) * bool(w)) % 10) for d, s, w in zip(digits, shift, wrong, strict=True))
            shown.append(replace(problem, solution=text))
        return shown

    def score(self, problem: Problem, response: str) -> Score:
        """Reward 1 for exactly the right digits."""
        right = response == problem.answer
        return Score(reward=float(right), correct=right)


def _counting(digit: int, length: int, name: str) -> Problem:
    answer = "".join(str((digit + i) % 10) for i in range(length))
    return Problem(id=name, prompt=f"{digit}{length:02d}=", answer=answer)
