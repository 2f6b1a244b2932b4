"""Training with trees and with independent groups from the same start: accuracy by step and by tokens decoded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilothouse.methods.experiments.arms import scratch_trainer
from pilothouse.methods.experiments.treepo.economy import TREE, WIDTH
from pilothouse.methods.experiments.treepo.sums import SHAPE, LongSums, warm_policy
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.training.config import RunConfig, resolve
from pilothouse.training.evaluate import evaluate, held_out
from pilothouse.training.loop import Trainer
from pilothouse.training.recipe import PolicyGradient

#: What one run measured, a row each time.
Rows = list[dict[str, float]]

_TREE = TREE.model_dump(mode="json")
#: Recipes by name; the loss, the starts and the prompts are the same for all.
ARMS: dict[str, dict[str, Any]] = {
    "GRPO": {"program": {"name": "group", "n": WIDTH}, "credit": "grpo"},
    "tree sampling": {"program": _TREE, "credit": "grpo"},
    "TreePO": {"program": _TREE, "credit": "tree-subgroup"},
}
BASE = "GRPO"


@dataclass(frozen=True)
class Design:
    """The size of the experiment.

    Args:
        task: what is learnt.
        warm: how the starting policy is made, anew for each seed.
        steps: updates of an equal number of responses.
        most_steps: updates after which an arm stops looking for as many tokens as GRPO took.
        measure_every: updates between measurements.
        prompts: problems a step.
        learning_rate: AdamW's.
        seeds: independent runs an arm.
        problems: held-out problems of a measurement.
    """

    task: LongSums = field(default_factory=LongSums)
    warm: WarmStart = field(
        default_factory=lambda: WarmStart(epochs=6, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0)
    )
    steps: int = 120
    most_steps: int = 200
    measure_every: int = 40
    prompts: int = 8
    learning_rate: float = 3e-4
    seeds: int = 3
    problems: int = 400

    def config(self, arm: str, seed: int) -> RunConfig:
        """Return the whole configuration of one run."""
        objective = {"name": "clipped", "eps_high": 0.28, "dual_clip": 10.0}
        training = {
            "steps": self.most_steps,
            "prompts": self.prompts,
            "learning_rate": self.learning_rate,
            "record": "text",
        }
        fixed = {"objective": objective, "training": training, "task": self.task, "seed": seed}
        return resolve("treepo" if arm == "TreePO" else "grpo", PolicyGradient(), ARMS[arm], fixed)


def run_design(design: Design, folder: Path, progress: Progress) -> dict[str, list[Rows]]:
    """Return every arm's rows, a list over seeds; finished runs are read back from ``folder``.

    Args:
        design: the experiment.
        folder: keeps a file for each finished run.
        progress: shows what happens.
    """
    found: dict[str, list[Rows]] = {arm: [] for arm in ARMS}
    for seed in range(design.seeds):
        tokens = 0.0
        for arm in ARMS:
            progress.say(f"training: seed {seed + 1} of {design.seeds}, {arm}")
            config = design.config(arm, seed)
            facts = {
                "config": config.model_dump(mode="json"),
                "warm": design.warm.model_dump(),
                "shape": SHAPE.model_dump(),
                "measure": [design.steps, design.measure_every, design.problems],
                "tokens": tokens,
            }
            path = folder / f"training-seed-{seed}-{arm.replace(' ', '-')}.json"
            rows = kept(path, facts, lambda c=config, t=tokens: {"rows": _run(design, c, t, progress)})["rows"]
            found[arm].append(rows)
            if arm == BASE:
                tokens = at_step(rows, design.steps)["tokens"]
    return found


def at_step(rows: Rows, step: int) -> Mapping[str, float]:
    """Return what was measured after ``step`` updates."""
    return next(row for row in rows if row["step"] == step)


def at_tokens(rows: Rows, tokens: float) -> Mapping[str, float]:
    """Return what was measured first at ``tokens`` tokens decoded or more; the last row if that never was."""
    return next((row for row in rows if row["tokens"] >= tokens), rows[-1])


def _run(design: Design, config: RunConfig, tokens: float, progress: Progress) -> Rows:
    """Train to the given step, and on until as many tokens were decoded as ``tokens``."""
    policy = warm_policy(design.task, design.warm, config.seed)
    rows: Rows = []
    with scratch_trainer(config, policy, progress) as trainer:
        for step in range(design.most_steps + 1):
            enough = step >= design.steps and trainer.cost.tokens_sampled >= tokens
            if enough or (step % design.measure_every == 0 and step <= design.steps):
                rows.append(_measure(design, trainer, step))
            if enough:
                break
            trainer.step(step)
    return rows


def _measure(design: Design, trainer: Trainer, step: int) -> dict[str, float]:
    """Measure on held-out problems, with the same draws at every step and for every arm of a seed."""
    node = trainer.seeds / "measure"
    problems = held_out(trainer.task, design.problems, node / "problems")

    def measured(sampling: Sampling) -> Any:
        return evaluate(trainer.runner, Group(n=1, sampling=sampling), trainer.policy, trainer.task, problems, node)

    greedy, sampled = measured(Sampling(temperature=0.0)), measured(Sampling())
    return {
        "step": float(step),
        "tokens": float(trainer.cost.tokens_sampled),
        "computed": float(trainer.cost.tokens_computed),
        "greedy": greedy.accuracy.estimate,
        "sampled": sampled.accuracy.estimate,
        "length": sampled.length,
        "entropy": sampled.entropy,
    }
