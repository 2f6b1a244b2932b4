"""Sums modulo ten with optional passes of checking: how long to go on is the policy's choice."""

from __future__ import annotations

import re
from itertools import accumulate, product
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.splits import SplitTask, fraction_of

_NUMBERS = {"E": 2, "H": 4}  # easy and hard
_FORM = re.compile(r"((?:\d;)+)((?:\?(?:\d;)+)*)A(\d)")


class CheckChain(SplitTask):
    """Easy (``E 3+4=``) and hard (``H 3+4+5+9=``) sums modulo ten, half of the problems each.

    A response holds the partial sums (``7;2;1;``), any number of passes that derive them again (``?7;2;1;``), then the
    answer (``A1``). There are only 100 easy prompts, so prompts come back within a split, under ids of their own.

    Args:
        train_size: problems of the training split.
        test_size: problems of the test split.
        test_share: share of the prompts that belong to the test split.
        seed: the generator's seed.
        slip: chance that an imperfect solver gets a hard partial sum wrong.
        repair: chance that a checking pass of an imperfect solver is right; otherwise it copies the pass before it.
        stop_checking: chance to stop after each pass; the number of passes is geometric.
        most_checks: most passes.
    """

    name: ClassVar[str] = "check-chain"
    response_limit: ClassVar[int] = 72
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    character_set: ClassVar[str] = "0123456789+=?;AEH \n"

    train_size: Annotated[int, Field(ge=2)] = 4000
    test_size: Annotated[int, Field(ge=2)] = 1000
    test_share: Annotated[float, Field(gt=0, lt=1)] = 0.2
    seed: int = 0
    slip: Annotated[float, Field(ge=0, le=1)] = 0.25
    repair: Annotated[float, Field(ge=0, le=1)] = 0.5
    stop_checking: Annotated[float, Field(gt=0, le=1)] = 0.3
    most_checks: Annotated[int, Field(ge=0)] = 8

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return both splits, easy and hard in turn, with right solutions of random length."""
        prompts: dict[tuple[str, str], list[str]] = {}
        for kind, count in _NUMBERS.items():
            for digits in product("0123456789", repeat=count):
                prompt = f"{kind} {'+'.join(digits)}="
                split = "test" if fraction_of(prompt) < self.test_share else "train"
                prompts.setdefault((split, kind), []).append(prompt)
        splits: dict[str, list[Problem]] = {}
        for split, size in (("train", self.train_size), ("test", self.test_size)):
            rng = (SeedTree(self.seed) / self.name / split).numpy()
            pools = [prompts[split, kind] for kind in _NUMBERS]
            drawn = [pools[i % 2][int(rng.integers(len(pools[i % 2])))] for i in range(size)]
            splits[split] = [self._problem(f"{split}-{i}", prompt, rng) for i, prompt in enumerate(drawn)]
        return splits

    def _problem(self, name: str, prompt: str, rng: np.random.Generator) -> Problem:
        sums = partial_sums(prompt)
        solution = _written([sums] * (1 + self._passes(rng)))
        return Problem(name, prompt, str(sums[-1]), solution, {"hard": prompt.startswith("H")})

    def _passes(self, rng: np.random.Generator) -> int:
        return min(int(rng.geometric(self.stop_checking)) - 1, self.most_checks)

    def attempt(self, problem: Problem, rng: np.random.Generator) -> str:
        """Return the response of an imperfect solver, which errs on hard problems and repairs some of it by checking.

        Args:
            problem: the problem.
            rng: source of randomness.
        """
        right = partial_sums(str(problem.prompt))
        numbers = [int(digit) for digit in re.findall(r"\d", str(problem.prompt))]
        total, first = numbers[0], list[int]()
        for number in numbers[1:]:
            wrong = problem.info["hard"] and rng.random() < self.slip
            total = (total + number + (int(rng.integers(1, 10)) if wrong else 0)) % 10
            first.append(total)
        passes = [first]
        for _ in range(self._passes(rng)):
            passes.append(right if rng.random() < self.repair else passes[-1])
        return _written(passes)

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if the answer after "A" is right; the part "checks" counts the checking passes."""
        match, given = _FORM.fullmatch(response.strip()), self.answer_of(response)
        correct = given == problem.answer
        checks = float(response.count("?"))
        return Score(
            float(correct), correct, {"correct": float(correct), "format": float(match is not None), "checks": checks}
        )

    def answer_of(self, response: str) -> str:
        """Return what follows the last "A"."""
        return response.strip().rpartition("A")[2] if "A" in response else ""


def partial_sums(prompt: str) -> list[int]:
    """Return the running sums modulo ten of a prompt's numbers, from the second number on."""
    return [total % 10 for total in accumulate(int(digit) for digit in re.findall(r"\d", prompt))][1:]


def _written(passes: list[list[int]]) -> str:
    text = "?".join("".join(f"{total};" for total in sums) for sums in passes)
    return f"{text}A{passes[-1][-1]}\n"
