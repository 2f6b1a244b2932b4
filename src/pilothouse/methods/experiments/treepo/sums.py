"""Sums of six digits modulo ten, and a small policy with blind spots: where TreePO is put to the test."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.tasks.check_chain import CheckChain
from pilothouse.tasks.splits import fraction_of

SHAPE = TinyShape(width=64, layers=2, heads=4, kv_heads=4, head_dim=16, mlp=256, context=96)


class LongSums(CheckChain):
    """The hard half of ``check-chain`` with longer sums: ``H 3+4+5+9+2+6=`` is answered ``7;2;1;3;9;A9``.

    Args:
        numbers: digits in a sum.
        blind: share of the hundred sums of two digits that the demonstrations get wrong more often than right.
        error: how often they do.
    """

    name: ClassVar[str] = "pilothouse.methods.experiments.treepo.sums:LongSums"
    response_limit: ClassVar[int] = 64
    stop_checking: Annotated[float, Field(gt=0, le=1)] = 0.6
    most_checks: Annotated[int, Field(ge=0)] = 4
    numbers: Annotated[int, Field(ge=2)] = 6
    blind: Annotated[float, Field(ge=0, le=1)] = 0.25
    error: Annotated[float, Field(ge=0, le=1)] = 0.6

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return both splits, with right solutions of random length; no prompt comes twice."""
        wanted = {"train": self.train_size, "test": self.test_size}
        splits: dict[str, list[Problem]] = {name: [] for name in wanted}
        rng, seen = (SeedTree(self.seed) / "long-sums").numpy(), set[str]()
        while any(len(splits[name]) < size for name, size in wanted.items()):
            prompt = f"H {'+'.join(map(str, rng.integers(10, size=self.numbers).tolist()))}="
            split = "test" if fraction_of(prompt) < self.test_share else "train"
            if prompt not in seen and len(splits[split]) < wanted[split]:
                seen.add(prompt)
                splits[split].append(self._problem(f"{split}-{len(splits[split])}", prompt, rng))
        return splits

    def demonstrations(self, seeds: SeedTree) -> list[Problem]:
        """Return the training problems with the responses of a solver that has blind spots.

        Its checks repeat its first pass. Greedy imitation is wrong wherever a blind spot occurs; sampling sometimes
        finds the right sum, which is what there is to learn.

        Args:
            seeds: node that draws the blind spots and the responses.
        """
        rng = seeds.numpy()
        amiss = np.where(rng.random((10, 10)) < self.blind, rng.integers(1, 10, size=(10, 10)), 0)
        shown: list[Problem] = []
        for problem in self.problems("train"):
            digits = [int(digit) for digit in re.findall(r"\d", str(problem.prompt))]
            total, sums = digits[0], list[int]()
            for digit in digits[1:]:
                total = (total + digit + int(amiss[total, digit]) * (rng.random() < self.error)) % 10
                sums.append(int(total))
            checks = min(int(rng.geometric(self.stop_checking)) - 1, self.most_checks)
            once = "".join(f"{total};" for total in sums)
            shown.append(replace(problem, solution=f"{'?'.join([once] * (1 + checks))}A{sums[-1]}\n"))
        return shown


def warm_policy(task: LongSums, settings: WarmStart, seed: int) -> CausalPolicy:
    """Return a policy that imitates the task's demonstrations; weights, order and blind spots by ``seed``; cached.

    Args:
        task: what it imitates.
        settings: how long and how.
        seed: root of weights, order and blind spots.
    """
    seeds = SeedTree(seed) / "long-sums"
    policy = tiny_policy(task.character_set, (seeds / "weights").integer(), SHAPE)
    shown = task.demonstrations(seeds / "demonstrations")
    cached_warm_start(policy, shown, settings, seed=(seeds / "warm-start").integer())
    return policy
