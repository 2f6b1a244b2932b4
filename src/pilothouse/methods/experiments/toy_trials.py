"""Trials on toys: a policy of fifty thousand parameters that learns and is measured on all problems of its task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Self

from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.arms import Figures, Trial
from pilothouse.methods.experiments.toys import SHAPE, Toy, warm_policy
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.group import Group
from pilothouse.training.config import RunConfig, overlay, resolve
from pilothouse.training.evaluate import evaluate
from pilothouse.training.loop import Trainer


@dataclass(frozen=True, kw_only=True)
class ToyTrial(Trial):
    """A trial on a toy.

    Args:
        task: what is learnt.
        warm: how the starting policy is made, anew for each seed.
        learning_rate: AdamW's.
        samples: attempts at each problem when measuring.
        noise: standard deviation of the noise on each reward that credit sees.
        prompts: problems a step.
        group: attempts at each.
    """

    task: Toy
    warm: WarmStart
    learning_rate: float
    samples: int
    noise: float = 0.0
    prompts: int = 16
    group: int = 8

    def config(self, arm: str, seed: int) -> RunConfig:
        """Return the whole configuration of one run."""
        recipe = find_method(self.arms[arm].method).policy_gradient
        training = {
            "steps": self.measure_at[-1],
            "prompts": self.prompts,
            "learning_rate": self.learning_rate,
            "record": "text",
        }
        table = overlay(recipe.model_dump(mode="json"), self.arms[arm].changes)
        if self.noise:
            noisy = {"name": "reward-noise", "std": self.noise, "seed": seed, "of": table["credit"]}
            table = {**table, "credit": noisy}
        fixed = {"program": {"name": "group", "n": self.group}, "training": training, "task": self.task, "seed": seed}
        return resolve(self.arms[arm].method, recipe, table, fixed)

    def start(self, seed: int) -> CausalPolicy:
        """Return a policy that imitates the toy's demonstrations."""
        return warm_policy(self.task, self.warm, seed)

    def measure(self, trainer: Trainer) -> Figures:
        """Return figures over all problems, with the same draws at every step and for every arm of a seed."""
        node, problems = trainer.seeds / "measure", self.task.problems("train")
        found = evaluate(trainer.runner, Group(n=self.samples), trainer.policy, self.task, problems, node)
        return {
            "accuracy": found.accuracy.estimate,
            "length": found.length,
            "entropy": found.entropy,
            "distinct": found.distinct,
            "solved": found.solved,
        }

    def facts(self) -> dict[str, Any]:
        """Return how the starting policies are made, and how they are measured."""
        return {"warm": self.warm.model_dump(), "shape": SHAPE.model_dump(), "samples": self.samples}

    def smoke(self) -> Self:
        """Return the trial cut down to seconds: it shows that everything runs and nothing else."""
        warm = self.warm.model_copy(update={"epochs": 0.02})
        return replace(self, warm=warm, measure_at=(0, 1), seeds=2, samples=1, prompts=2)
