"""Two tasks small enough for a policy of fifty thousand parameters, each with demonstrations to warm-start it on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product
from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.tasks.base import Task

SHAPE = TinyShape(width=48, layers=2, heads=3, kv_heads=3, head_dim=16, mlp=128, context=16)


class Toy(Task):
    """A task whose demonstrations may be wrong; learning is measured on the prompts it trains on."""

    character_set: ClassVar[str] = "0123456789*+=-,"

    def demonstrations(self, seeds: SeedTree) -> list[Problem]:
        """Return problems whose solutions the policy imitates before reinforcement learning.

        Args:
            seeds: node that draws them.
        """
        raise NotImplementedError


class Expressions(Toy):
    """Write "TT=" as "a*b+c" with three digits: every target from 10 to 90 has several right answers."""

    name: ClassVar[str] = "pilothouse.methods.experiments.toys:Expressions"
    response_limit: ClassVar[int] = 8

    def problems(self, split: str) -> Sequence[Problem]:
        """Return a problem for each target; there is no test split."""
        return [_target(value) for value in range(10, 91)] if split == "train" else []

    def demonstrations(self, seeds: SeedTree) -> list[Problem]:
        """Return every right answer of every target, each once."""
        digits = range(10)
        triples = ((a * b + c, f"{a}*{b}+{c}") for a in digits for b in digits for c in digits)
        return [_target(value, text) for value, text in triples if 10 <= value <= 90]

    def score(self, problem: Problem, response: str) -> Score:
        """Reward 1 for an expression of the right form and value."""
        found = re.fullmatch(r"(\d)\*(\d)\+(\d)", response)
        right = bool(found) and int(found[1]) * int(found[2]) + int(found[3]) == int(problem.answer)
        return Score(reward=float(right), correct=right)


class WorkedOrDirect(Toy):
    """Answer "a*b+c=" with two digits at once, or after a minus sign and the product: the longer way errs less.

    Args:
        base: the three operands lie below it.
        direct_share: share of demonstrations that answer at once.
        direct_wrong: share of those with a wrong answer.
        worked_wrong: share of the worked ones with a wrong answer.
        count: demonstrations.
    """

    name: ClassVar[str] = "pilothouse.methods.experiments.toys:WorkedOrDirect"
    response_limit: ClassVar[int] = 10
    direct_share: Annotated[float, Field(ge=0, le=1)] = 0.59
    direct_wrong: Annotated[float, Field(ge=0, le=1)] = 0.75
    worked_wrong: Annotated[float, Field(ge=0, le=1)] = 0.45
    count: Annotated[int, Field(ge=1)] = 16000
    base: Annotated[int, Field(ge=2, le=10)] = 6

    def problems(self, split: str) -> Sequence[Problem]:
        """Return every sum; there is no test split."""
        return [_sum(a, b, c) for a, b, c in product(range(self.base), repeat=3)] if split == "train" else []

    def demonstrations(self, seeds: SeedTree) -> list[Problem]:
        """Return right and wrong answers of both kinds, in the stated shares."""
        rng = seeds.numpy()
        shown: list[Problem] = []
        for a, b, c in rng.integers(self.base, size=(self.count, 3)).tolist():
            direct = bool(rng.random() < self.direct_share)
            wrong = bool(rng.random() < (self.direct_wrong if direct else self.worked_wrong))
            answer = (a * b + c + int(rng.integers(1, 100)) * wrong) % 100
            shown.append(_sum(a, b, c, f"{answer:02d}" if direct else f"-{a * b:02d},{answer:02d}"))
        return shown

    def score(self, problem: Problem, response: str) -> Score:
        """Reward 1 for the right answer in either form, whatever the product says."""
        found = re.fullmatch(r"(?:-\d\d,)?(\d\d)", response)
        right = bool(found) and found[1] == problem.answer
        return Score(reward=float(right), correct=right)


def _target(value: int, solution: str = "") -> Problem:
    return Problem(id=f"expression-{value}", prompt=f"{value}=", answer=str(value), solution=solution)


def _sum(a: int, b: int, c: int, solution: str = "") -> Problem:
    return Problem(id=f"sum-{a}{b}{c}", prompt=f"{a}*{b}+{c}=", answer=f"{a * b + c:02d}", solution=solution)


def warm_policy(task: Toy, settings: WarmStart, seed: int, shape: TinyShape = SHAPE) -> CausalPolicy:
    """Return a policy that imitates the demonstrations, weights and order by ``seed``; cached.

    Args:
        task: what it imitates.
        settings: how long and how.
        seed: root of weights, demonstrations and order.
        shape: width and depth of the policy.
    """
    seeds = SeedTree(seed)
    policy = tiny_policy(task.character_set, (seeds / "weights").integer(), shape)
    shown = task.demonstrations(seeds / "demonstrations")
    cached_warm_start(policy, shown, settings, seed=(seeds / "warm-start").integer())
    return policy
