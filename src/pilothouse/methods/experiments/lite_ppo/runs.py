"""Training runs of the toy experiments: the library's own trainer, one recipe an arm, paired by seed."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.lite_ppo.toys import SHAPE, Toy, warm_policy
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.group import Group
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.config import RunConfig, overlay, resolve
from pilothouse.training.evaluate import evaluate
from pilothouse.training.loop import Trainer

#: One arm's figures by training step, then by name; one such table a seed.
Figures = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Arm:
    """A recipe under comparison.

    Args:
        method: whose recipe it starts from.
        changes: what is laid over that.
    """

    method: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Design:
    """An experiment: one task and start, several recipes.

    Args:
        name: what its files are called.
        task: what is learnt.
        warm: how the starting policy is made, anew for each seed.
        arms: recipes by name.
        learning_rate: AdamW's.
        measure_at: training steps at which the policy is measured, ascending; the last one ends the run.
        seeds: independent runs an arm.
        samples: attempts at each problem when measuring.
        noise: standard deviation of the noise on each reward that credit sees.
        prompts: problems a step.
        group: attempts at each.
    """

    name: str
    task: Toy
    warm: WarmStart
    arms: Mapping[str, Arm]
    learning_rate: float
    measure_at: tuple[int, ...]
    seeds: int
    samples: int
    noise: float = 0.0
    prompts: int = 16
    group: int = 8

    def config(self, arm: str, seed: int) -> RunConfig:
        """Return the whole configuration of one run."""
        recipe = find_method(self.arms[arm].method).recipe
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
        return resolve(self.arms[arm].method, recipe, {**table, "credit": table["credit"]}, fixed)


def run_design(design: Design, folder: Path, progress: Progress) -> dict[str, list[Figures]]:
    """Return every arm's figures, a list over seeds; finished runs are read back from ``folder``.

    Args:
        design: the experiment.
        folder: keeps a file for each finished run.
        progress: shows what happens.
    """
    found: dict[str, list[Figures]] = {arm: [] for arm in design.arms}
    for seed in range(design.seeds):
        for arm in design.arms:
            progress.say(f"{design.name}: seed {seed + 1} of {design.seeds}, {arm}")
            config = design.config(arm, seed)
            facts = {
                "config": config.model_dump(mode="json"),
                "warm": design.warm.model_dump(),
                "shape": SHAPE.model_dump(),
                "measure_at": design.measure_at,
                "samples": design.samples,
            }
            path = folder / f"{design.name}-seed-{seed}-{arm.replace(' ', '-')}.json"
            found[arm].append(kept(path, facts, lambda c=config: _run(design, c, progress)))
    return found


def _run(design: Design, config: RunConfig, progress: Progress) -> Figures:
    policy = warm_policy(design.task, design.warm, config.seed)
    found: Figures = {}
    with tempfile.TemporaryDirectory() as folder:  # every rollout of dozens of toy runs is not worth keeping
        trainer = Trainer(config, policy, RunStore(Path(folder)), progress)
        for step in range(design.measure_at[-1] + 1):
            if step in design.measure_at:
                found[str(step)] = _measure(design, trainer)
            if step < design.measure_at[-1]:
                trainer.step(step)
    return found


def _measure(design: Design, trainer: Trainer) -> dict[str, float]:
    """Measure on all problems, with the same draws at every step and for every arm of a seed."""
    node: SeedTree = trainer.seeds / "measure"
    problems = design.task.problems("train")
    found = evaluate(trainer.runner, Group(n=design.samples), trainer.policy, design.task, problems, node)
    return {
        "accuracy": found.accuracy.estimate,
        "length": found.length,
        "entropy": found.entropy,
        "distinct": found.distinct,
        "solved": found.solved,
        "tokens_computed": float(trainer.cost.tokens_computed),
    }
