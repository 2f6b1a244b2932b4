"""The calculations that GSM8K's worked solutions mark, such as <<16-3-4=9>>, answered by a chain of equal expressions.

Source: Cobbe et al., "Training Verifiers to Solve Math Word Problems", arXiv 2110.14168 (calculation annotations).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field, PrivateAttr

from pilothouse.core.errors import DataError
from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.arithmetic import (
    CHARACTERS,
    Expression,
    Number,
    decimal_places,
    decimals,
    exact,
    number_text,
    parse,
    plain_number,
    text,
    value,
)
from pilothouse.tasks.calculations import generate
from pilothouse.tasks.gsm8k_data import HUB, from_folder, from_hub
from pilothouse.tasks.reduction import Steps, links
from pilothouse.tasks.splits import SplitTask, draw_apart

_MARK = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")


class Gsm8kCalc(SplitTask):
    """Calculations as prompts (``16-3-4=``), chains of steps as responses (``13-4=9``).

    The test split holds the calculations of GSM8K's test set that do not occur in its training set. Left out are
    entries without an operator, and those whose marked result is not the exact one rounded to the decimals it shows.

    Args:
        data: folder with GSM8K's train.jsonl and test.jsonl; "openai/gsm8k" for the hub; "generated" for the seeded
            generator; empty for the hub or, where it cannot be reached, the generator.
        steps: how the worked solutions go: "direct" to the result, "reduce" one operation at a time, or "expand",
            which also spreads multi-digit operations over their decimal places.
        longest: longest solution in characters; those that need more are
            written in fewer steps.
        train_size: calculations to generate for training, where they are generated.
        test_size: the same for the test split.
        seed: the generator's seed.
    """

    name: ClassVar[str] = "gsm8k-calc"
    response_limit: ClassVar[int] = 64
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    character_set: ClassVar[str] = CHARACTERS + "=\n"

    steps: Steps = "expand"
    longest: Annotated[int, Field(ge=1)] = 63
    train_size: Annotated[int, Field(ge=1)] = 8000
    test_size: Annotated[int, Field(ge=1)] = 1000
    seed: int = 0
    _source: str = PrivateAttr(default="")

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return the problems of both splits."""
        marked, origin = self._calculations()
        train = _first(marked["train"])
        test = {expression: result for expression, result in _first(marked["test"]).items() if expression not in train}
        splits: dict[str, list[Problem]] = {}
        dropped = {"without an operator": 0, "marked with another result": 0, "with a result too long": 0}
        for split, found in (("train", train), ("test", test)):
            splits[split] = []
            for expression, result in found.items():
                problem = self._problem(expression, result)
                if isinstance(problem, Problem):
                    splits[split].append(problem)
                else:
                    dropped[problem] += 1
        left_out = ", ".join(f"{count} {reason}" for reason, count in dropped.items())
        self._source = f"{origin}: {len(splits['train'])} train, {len(splits['test'])} test; left out: {left_out}"
        return splits

    def _calculations(self) -> tuple[dict[str, list[tuple[str, str]]], str]:
        if self.data not in ("", HUB, "generated"):
            rows, origin = from_folder(Path(self.data)), f"GSM8K in {self.data}"
        else:
            rows, origin = None if self.data == "generated" else from_hub(), f"GSM8K from the hub ({HUB})"
        if rows is not None:
            return {split: calculations(row.answer for row in found) for split, found in rows.items()}, origin
        if self.data == HUB:
            raise DataError(
                f"cannot fetch {HUB} from the hub; install 'datasets' and connect, or give a folder as data"
            )
        why = "" if self.data else " because GSM8K is not here and the hub cannot be reached"
        return self._generated(), f"calculations generated in the form of GSM8K's (not GSM8K itself){why}"

    def _generated(self) -> dict[str, list[tuple[str, str]]]:
        rng = (SeedTree(self.seed) / self.name).numpy()
        found = draw_apart(lambda: generate(rng), self.train_size, self.test_size)
        return {split: list(pairs.items()) for split, pairs in found.items()}

    def _problem(self, expression: str, marked: str) -> Problem | str:
        """Return the problem of a calculation, or why it is left out."""
        tree, result = _parsed(expression), exact(marked)
        if isinstance(tree, Number):
            return "without an operator"
        if tree is None or result is None or not agrees(value(tree), marked):
            return "marked with another result"
        places = None if decimal_places(value(tree)) is not None else decimals(marked)
        answer = number_text(value(tree), places)
        if len(answer) > self.longest:
            return "with a result too long"
        solution = next(found for found in self._solutions(tree, answer) if len(found) <= self.longest)
        return Problem(
            expression, f"{expression}=", answer, f"{solution}\n", {"expression": expression, "marked": marked}
        )

    def _solutions(self, tree: Expression, answer: str) -> Iterator[str]:
        """Yield worked solutions from the form asked for to the shortest."""
        for style in ("expand", "reduce"):
            if self.steps in (style, "expand"):
                with suppress(ValueError):
                    found = links(tree, expand=style == "expand", limit=self.longest)
                    yield "=".join([*(text(link) for link in found[:-1]), answer])
        yield answer

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if what follows the last "=" is the exact result, or that result rounded as it was marked."""
        pieces, given = response.strip().split("="), self.answer_of(response)
        number, target = plain_number(given), exact(problem.info["expression"])
        if target is None:
            return Score.failed(f"problem '{problem.id}' is not an expression with a value")
        correct = number is not None and (
            number == target or (decimals(given) >= decimals(problem.info["marked"]) and agrees(target, given))
        )
        formed = number is not None and all(exact(piece) is not None for piece in pieces)
        return Score(float(correct), correct, {"correct": float(correct), "format": float(formed)})

    def answer_of(self, response: str) -> str:
        """Return what follows the last "="."""
        return response.rpartition("=")[2].strip()

    def source(self) -> str:
        """Return one line that says where the calculations came from, and how many were left out and why."""
        self.problems("train")
        return self._source


def agrees(target: Fraction, shown: str) -> bool:
    """Return whether a written result is ``target``, rounded to the decimals it shows."""
    number = exact(shown)
    if number is None:
        return False
    half = Fraction(1, 2 * 10 ** decimals(shown)) if plain_number(shown) is not None else Fraction(0)
    return abs(number - target) <= half


def _first(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return distinct expressions, in order, with the result first marked for each."""
    found: dict[str, str] = {}
    for expression, result in pairs:
        found.setdefault(expression, result)
    return found


def _parsed(expression: str) -> Expression | None:
    if exact(expression) is None:
        return None
    return parse(expression)


def calculations(answers: Iterable[str]) -> list[tuple[str, str]]:
    """Return the (expression, result) pairs that worked solutions mark."""
    return [pair for answer in answers for pair in _MARK.findall(answer)]
