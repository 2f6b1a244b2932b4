"""Chains of sentences with one that matters: a causal model whose true effects are known, for audits of reasoning."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.tasks.splits import GeneratedTask

PLAN = "P."
FILLERS = tuple(f"{letter}." for letter in "abcdefghij")
_ANSWER = re.compile(r"=(yes|no)\b")


class PlanChain(GeneratedTask):
    """A case number (``#48213:``), then sentences of one letter and an answer: ``c. P. a. f. a. j. b. c. =yes``.

    "P." is the plan. It is made in the first sentence with chance ``first``. As long as it is not made, each later
    sentence makes it with chance ``restate``; once made, it is not made again. All other sentences are fillers. The
    answer is yes with chance ``yes_with`` if the plan was made anywhere, else with chance ``yes_without``: the plan is
    the only sentence with an effect of its own, and where it is removed it comes back.

    A problem's answer is that of its own chain, a single draw: who always says yes is right about nine times in ten.

    Args:
        length: sentences before the answer.
        first: chance that the first sentence makes the plan.
        restate: chance that a later one does, if it was not made yet.
        yes_with: chance of a yes after the plan.
        yes_without: chance of a yes without it.

    Source: the known-truth chains proposed for Thought Branches, arXiv 2510.27484.
    """

    name: ClassVar[str] = "plan-chain"
    response_limit: ClassVar[int] = 32
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    step_end: ClassVar[str] = ". "
    character_set: ClassVar[str] = "#0123456789: .=\nPabcdefghijnosy"

    train_size: Annotated[int, Field(ge=1)] = 10_000
    length: Annotated[int, Field(ge=2)] = 8
    first: Annotated[float, Field(ge=0, le=1)] = 0.5
    restate: Annotated[float, Field(ge=0, le=1)] = 0.35
    yes_with: Annotated[float, Field(ge=0, le=1)] = 0.9
    yes_without: Annotated[float, Field(ge=0, le=1)] = 0.1

    @property
    def limit(self) -> int:
        """Response length limit in tokens: ``max_tokens`` if set, else enough for all sentences and the answer."""
        return self.max_tokens or max(self.response_limit, (len(PLAN) + 1) * self.length + 8)

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one case with a chain of its own."""
        prompt = f"#{int(rng.integers(100_000)):05d}:"
        chain = self.go_on("", rng)
        return Problem(prompt, prompt, self.answer_of(chain), chain)

    def go_on(self, response: str, rng: np.random.Generator) -> str:
        """Return the rest of a response, as the causal model draws it: what a perfect policy would say.

        Args:
            response: whole sentences, each with the space after it; more than ``length`` are answered at once.
            rng: source of randomness.
        """
        done = len(response.split(". ")) - 1
        made, said = PLAN in response, list[str]()
        for at in range(done, self.length):
            chance = self.restate if at else self.first
            if not made and rng.random() < chance:
                made = True
                said.append(PLAN)
            else:
                said.append(FILLERS[int(rng.integers(len(FILLERS)))])
        yes = rng.random() < (self.yes_with if made else self.yes_without)
        return " ".join([*said, f"={'yes' if yes else 'no'}\n"])

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if the answer is that of the problem's own chain; "planned" tells of the plan."""
        correct = self.answer_of(response) == problem.answer
        planned = float(PLAN in response)
        return Score(float(correct), correct, {"correct": float(correct), "planned": planned})

    def answer_of(self, response: str) -> str:
        """Return the last answer, yes or no; empty if there is none."""
        return (_ANSWER.findall(response) or [""])[-1]
