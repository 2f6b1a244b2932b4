"""The experiments' policies and tasks: characters, sixty thousand parameters, imitating chains of a causal model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pilothouse.core.problems import Posed, Problem
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.core.sentences import Sentences
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Job, Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.group import Group
from pilothouse.tasks.plan_chain import PlanChain

SHAPE = TinyShape(width=48, layers=2, heads=4, kv_heads=2, head_dim=16, mlp=144, context=64)
HOW = Sampling(max_tokens=36, stop=("\n",))
SENTENCES = Sentences(mark=". ")
HINT = "!"


@dataclass(frozen=True)
class Size:
    """How large an experiment is.

    Args:
        lessons: chains that a policy imitates.
        epochs: passes over them.
        chains: chains that are studied.
        branches: continuations M of each prefix.
        seeds: independent policies.
    """

    lessons: int
    epochs: float
    chains: int
    branches: int
    seeds: int


SIZES = {"smoke": Size(400, 1.0, 2, 4, 2), "small": Size(50_000, 2.0, 30, 100, 3)}


class Leanings(PlanChain):
    """Six choices, U or D with even chances, and a majority vote; a hint before the prompt adds 0.1 to every U.

    A sentence is a choice and the number of U so far (``U1. D1. U2. U3. D3. U4. =yes``), so that a small policy can
    learn to vote.
    """

    name: ClassVar[str] = "pilothouse.methods.experiments.thought_branches.policies:Leanings"
    character_set: ClassVar[str] = "#!0123456789: .=\nUDnoesy"
    response_limit: ClassVar[int] = 40
    length: int = 6

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one case, hinted or not with even chances, with a chain of its own."""
        hinted = bool(rng.random() < 0.5)
        prompt = f"{HINT if hinted else ''}#{int(rng.integers(100_000)):05d}:"
        ups = rng.random(self.length) < (0.6 if hinted else 0.5)
        said = [f"{'U' if up else 'D'}{so_far}." for up, so_far in zip(ups, ups.cumsum(), strict=True)]
        total = int(ups.sum())
        yes = total > self.length / 2 or (total == self.length / 2 and rng.random() < 0.5)
        return Problem(prompt, prompt, "yes" if yes else "no", " ".join([*said, f"={'yes' if yes else 'no'}\n"]))


def imitator(task: PlanChain, size: Size, seed: int) -> CausalPolicy:
    """Return a policy that imitates a task's chains; weights and order by ``seed``; cached.

    Args:
        task: whose training chains.
        size: how many of them, how often.
        seed: root of weights and order.
    """
    seeds = SeedTree(seed)
    policy = tiny_policy(task.character_set, (seeds / "weights").integer(), SHAPE)
    how = WarmStart(epochs=size.epochs, batch_tokens=2048, lr=3e-3, matrix_lr=1e-2, held_out=0.0)
    cached_warm_start(policy, task.problems("train"), how, seed=(seeds / "warm-start").integer())
    return policy


class Lab:
    """One policy and a way to run programs on prompts with it.

    Args:
        task: reads answers.
        policy: answers.
        seeds: root of every draw.
    """

    def __init__(self, task: PlanChain, policy: CausalPolicy, seeds: SeedTree) -> None:
        self.task, self.codec, self.seeds = task, policy.codec, seeds
        self.runner = Runner(LocalEngine(policy))

    def run(self, programs: Sequence[tuple[Program, str]], name: str) -> list[Result]:
        """Return the result of each program on its prompt.

        Args:
            programs: pairs of program and prompt.
            name: address of their draws.
        """
        jobs: list[Job] = []
        for at, (program, prompt) in enumerate(programs):
            seeds = self.seeds / name / at
            tokens = self.codec.encode(prompt)
            posed = Posed(prompt, tokens, prompt, seeds.numpy(), self.codec, answer_of=self.task.answer_of)
            jobs.append(Job(program, posed, seeds))
        return self.runner.run(jobs)

    def chains(self, prompts: Sequence[str], n: int) -> list[tuple[str, str]]:
        """Return well-formed chains that the policy samples, n a prompt, each after its prompt."""
        results = self.run([(Group(n=n, sampling=HOW), prompt) for prompt in prompts], "chains")
        return [
            (prompt, episode.text)
            for prompt, result in zip(prompts, results, strict=True)
            for episode in result.episodes
            if len(SENTENCES.split(episode.text)) == self.task.length + 1 and self.task.answer_of(episode.text)
        ]


def mean_known(values: Sequence[float] | np.ndarray) -> float:
    """Return the mean of the figures that are known; NaN if none is."""
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
