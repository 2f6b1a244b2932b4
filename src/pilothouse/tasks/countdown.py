"""Countdown: reach a target with the given numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.tasks.arithmetic import CHARACTERS, Expression, Number, Operation, apply, parse, text, value
from pilothouse.tasks.splits import GeneratedTask


class Countdown(GeneratedTask):
    """Numbers and a target (``3,7,8>29:``), answered by an expression that uses every number once (``3*7+8``).

    Args:
        numbers: how many numbers are given.
        largest: largest of them.
        largest_target: largest target.
    """

    name: ClassVar[str] = "countdown"
    response_limit: ClassVar[int] = 32
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    character_set: ClassVar[str] = CHARACTERS + ",>:\n"

    numbers: Annotated[int, Field(ge=2, le=8)] = 3
    largest: Annotated[int, Field(ge=2)] = 20
    largest_target: Annotated[int, Field(ge=2)] = 100

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one problem, made from an expression that solves it in whole numbers."""
        while True:
            numbers = sorted(int(number) for number in rng.integers(1, self.largest + 1, size=self.numbers))
            tree = self._tree([numbers[i] for i in rng.permutation(self.numbers)], rng)
            target = _whole(tree)
            if target is not None and 1 <= target <= self.largest_target:
                prompt = f"{','.join(map(str, numbers))}>{target}:"
                return Problem(prompt, prompt, str(target), f"{text(tree)}\n", {"numbers": tuple(numbers)})

    def _tree(self, numbers: list[int], rng: np.random.Generator) -> Expression:
        if len(numbers) == 1:
            return Number(Fraction(numbers[0]))
        cut = int(rng.integers(1, len(numbers)))
        operator = "+-*/"[int(rng.integers(4))]
        return Operation(operator, self._tree(numbers[:cut], rng), self._tree(numbers[cut:], rng))

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if the expression reaches the target; the part "format": it uses just the given numbers."""
        correct = formed = False
        try:
            tree = parse(response.strip())
            formed = Counter(_leaves(tree)) == Counter(Fraction(number) for number in problem.info["numbers"])
            correct = formed and value(tree) == Fraction(problem.answer)
        except (ValueError, ZeroDivisionError):
            pass  # no expression, or one without a value: wrong
        return Score(float(correct), correct, {"correct": float(correct), "format": float(formed)})


def _whole(tree: Expression) -> int | None:
    """Return a tree's value if it and every value on the way are whole, as in the game; else ``None``."""
    if isinstance(tree, Number):
        return int(tree.value)
    left, right = _whole(tree.left), _whole(tree.right)
    if left is None or right is None or (tree.operator == "/" and (right == 0 or left % right)):
        return None
    return int(apply(tree.operator, Fraction(left), Fraction(right)))


def _leaves(tree: Expression) -> Iterator[Fraction]:
    if isinstance(tree, Number):
        yield tree.value
    else:
        yield from _leaves(tree.left)
        yield from _leaves(tree.right)
