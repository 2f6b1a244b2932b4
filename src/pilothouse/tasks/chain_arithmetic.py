"""Chains of modular arithmetic, one step a line, each of which can be checked on its own."""

from __future__ import annotations

import math
import re
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field, field_validator

from pilothouse.core.problems import Problem, Score
from pilothouse.tasks.splits import GeneratedTask

_STEP = re.compile(r"[-+*]\d+")
_LINE = re.compile(r"(\d+)([-+*])(\d+)=(\d+)")


class ChainArithmetic(GeneratedTask):
    """A start value and k operations, applied left to right modulo m: ``4+7*3:`` is answered ``4+7=1``, ``1*3=3.``.

    Multipliers share no factor with the modulus, so a wrong value stays wrong unless a second mistake repairs it.

    Args:
        chain_steps: operations in a chain (k).
        modulus: values are taken modulo this (m).
        operations: the operators that occur, of "+-*".
    """

    name: ClassVar[str] = "chain-arithmetic"
    response_limit: ClassVar[int] = 96
    stop: ClassVar[tuple[str, ...]] = (".",)
    character_set: ClassVar[str] = "0123456789+-*=:\n."

    chain_steps: Annotated[int, Field(ge=1)] = 6
    modulus: Annotated[int, Field(ge=3)] = 10
    operations: str = "+-*"

    @field_validator("operations")
    @classmethod
    def _known(cls, operations: str) -> str:
        if not operations or not set(operations) <= set("+-*"):
            raise ValueError("name at least one of + - * and nothing else")
        return operations

    @property
    def limit(self) -> int:
        """Response length limit in tokens: ``max_tokens`` if set, else enough for the longest chain."""
        widest = 3 * len(str(self.modulus - 1)) + 3
        return self.max_tokens or max(self.response_limit, self.chain_steps * widest)

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one chain."""
        units = [factor for factor in range(2, self.modulus) if math.gcd(factor, self.modulus) == 1]
        value = int(rng.integers(self.modulus))
        prompt, lines = str(value), list[str]()
        for _ in range(self.chain_steps):
            operator = self.operations[int(rng.integers(len(self.operations)))]
            operand = units[int(rng.integers(len(units)))] if operator == "*" else int(rng.integers(1, self.modulus))
            result = self._result(value, operator, operand)
            prompt += f"{operator}{operand}"
            lines.append(f"{value}{operator}{operand}={result}")
            value = result
        return Problem(f"{prompt}:", f"{prompt}:", str(value), self.step_end.join(lines) + ".")

    def _result(self, value: int, operator: str, operand: int) -> int:
        total = value + operand if operator == "+" else value - operand if operator == "-" else value * operand
        return total % self.modulus

    def check_steps(self, problem: Problem, response: str) -> list[bool]:
        """Return whether each line of a response, whole or cut short, is a right step.

        A step is right if it applies the chain's next operation to the value the line before it ended in, rightly or
        wrongly reached, and computes it right. So a prefix is free of mistakes if all of its steps are right.

        Args:
            problem: the chain.
            response: the lines so far; what follows the last full step counts as a step too.
        """
        prompt = str(problem.prompt)
        wanted, value = _STEP.findall(prompt), int(re.split(r"[-+*:]", prompt)[0])
        checks: list[bool] = []
        for number, line in enumerate(steps_of(response)):
            match = _LINE.fullmatch(line)
            if match is None or number >= len(wanted):
                checks.append(False)
                continue
            start, operator, operand, result = match.groups()
            follows = int(start) == value and operator + operand == wanted[number]
            value = int(result)
            checks.append(follows and value == self._result(int(start), operator, int(operand)))
        return checks

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if the last line ends in the right value; the part "steps" is the share of right steps."""
        checks = self.check_steps(problem, response)
        count = len(_STEP.findall(str(problem.prompt)))
        correct = self.answer_of(response) == problem.answer
        right = sum(checks) / max(count, len(checks))
        return Score(float(correct), correct, {"correct": float(correct), "steps": right})

    def answer_of(self, response: str) -> str:
        """Return what the last line ends in."""
        lines = steps_of(response)
        return lines[-1].rpartition("=")[2] if lines else ""


def steps_of(response: str) -> list[str]:
    """Return the lines of a response without the full stop that ends it."""
    return response.strip().removesuffix(".").split("\n") if response.strip() else []
