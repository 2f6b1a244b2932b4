"""Digits to be sorted."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Annotated, ClassVar, Self

import numpy as np
from pydantic import Field, model_validator

from pilothouse.core.problems import Problem, Score
from pilothouse.tasks.splits import GeneratedTask


class Sorting(GeneratedTask):
    """Digits in any order (``7315:``), to be written in ascending order (``1357``).

    Args:
        shortest: fewest digits.
        longest: most digits.
    """

    name: ClassVar[str] = "sorting"
    response_limit: ClassVar[int] = 16
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    character_set: ClassVar[str] = "0123456789:\n"

    shortest: Annotated[int, Field(ge=1)] = 4
    longest: Annotated[int, Field(ge=1)] = 8

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortest > self.longest:
            raise ValueError(f"shortest ({self.shortest}) exceeds longest ({self.longest}); swap them")
        return self

    @property
    def limit(self) -> int:
        """Response length limit in tokens: ``max_tokens`` if set, else enough for the longest list."""
        return self.max_tokens or max(self.response_limit, self.longest + 1)

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one list of digits."""
        digits = rng.integers(10, size=int(rng.integers(self.shortest, self.longest + 1)))
        given = "".join(str(digit) for digit in digits)
        answer = "".join(sorted(given))
        return Problem(f"{given}:", f"{given}:", answer, f"{answer}\n")

    def errors(self, problem: Problem, response: str) -> int:
        """Return how far a response is from sorted: descents of neighbours, plus missing and surplus characters.

        Source: the sorting score of Besta et al., "Graph of Thoughts", arXiv 2308.09687, section 5.1.
        """
        given = response.strip()
        counts = Counter(given)
        counts.subtract(problem.answer)
        return sum(a > b for a, b in pairwise(given)) + sum(abs(count) for count in counts.values())

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if the digits are sorted; the part "errors" says how far off they are."""
        correct = response.strip() == problem.answer
        return Score(
            float(correct), correct, {"correct": float(correct), "errors": float(self.errors(problem, response))}
        )
