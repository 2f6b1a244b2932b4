"""Arms of an experiment: recipes trained from the same starts, paired by seed, at equal steps or equal cost."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.measured import mean
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.base import Task
from pilothouse.training.config import RunConfig, overlay, resolve
from pilothouse.training.loop import Trainer

#: Figures of a policy, by name.
Figures = dict[str, float]
#: One run: its figures by training step ("0", "50", ...); "last" is where it ended.
Curve = dict[str, Figures]


@dataclass(frozen=True)
class Arm:
    """A recipe under comparison.

    Args:
        method: whose recipe it starts from.
        changes: what is laid over that.
    """

    method: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An experiment: several arms from the same starting policies, paired by seed.

    Args:
        name: what its files are called.
        arms: recipes by name; the first one's cost is everybody's budget when ``equal_cost``.
        measure_at: training steps at which the policy is measured, ascending; the first arm ends at the last one.
        seeds: independent runs an arm.
        equal_cost: run every other arm until its sampling has computed as many tokens as the first arm's.
        averaged: metrics of the training steps to average over the second half of a run.
    """

    name: str
    arms: Mapping[str, Arm]
    measure_at: tuple[int, ...]
    seeds: int = 3
    equal_cost: bool = False
    averaged: tuple[str, ...] = ()

    def config(self, arm: str, seed: int) -> RunConfig:
        """Return the whole configuration of one run."""
        raise NotImplementedError

    def start(self, seed: int) -> CausalPolicy:
        """Return the policy that every arm of a seed starts from; cached."""
        raise NotImplementedError

    def measure(self, trainer: Trainer) -> Figures:
        """Return figures of the trainer's policy: the same draws whenever it is called with one seed."""
        raise NotImplementedError

    def facts(self) -> dict[str, Any]:
        """Return what decides the figures besides the configuration, JSON-ready."""
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class TaskTrial(Trial):
    """A trial on one task of the library, whose policies imitate worked responses first.

    Args:
        task: what is learnt.
        shape: the policy's size.
        warm: how the starting policy is made, anew for each seed.
        demonstrate: the worked responses that it imitates, from a seed.
        figures: measures the trainer's policy.
        training: settings of every arm.
    """

    task: Task
    shape: TinyShape
    warm: WarmStart
    demonstrate: Callable[[int], list[Any]]
    figures: Callable[[Trainer], Figures]
    training: Mapping[str, Any]

    def config(self, arm: str, seed: int) -> RunConfig:
        """Return the arm's recipe with the trial's training settings."""
        chosen = self.arms[arm]
        recipe = find_method(chosen.method).policy_gradient
        table = overlay(recipe.model_dump(mode="json"), chosen.changes)
        training = {**table["training"], **self.training, "steps": self.measure_at[-1], "record": "text"}
        return resolve(chosen.method, recipe, {**table, "training": training}, {"task": self.task, "seed": seed})

    def start(self, seed: int) -> CausalPolicy:
        """Return a tiny policy that imitates the demonstrations."""
        policy = tiny_policy(self.task.character_set, seed, self.shape)
        cached_warm_start(policy, self.demonstrate(seed), self.warm, seed=seed)
        return policy

    def measure(self, trainer: Trainer) -> Figures:
        """Return the trial's figures."""
        return self.figures(trainer)

    def facts(self) -> dict[str, Any]:
        """Return how the starting policies are made."""
        return {"warm": self.warm.model_dump(), "shape": self.shape.model_dump()}


@contextmanager
def scratch_trainer(config: RunConfig, policy: CausalPolicy, progress: Progress) -> Iterator[Trainer]:
    """Yield a trainer whose run is not kept: every rollout of dozens of toy runs is not worth it."""
    with tempfile.TemporaryDirectory() as folder:
        yield Trainer(config, policy, RunStore(Path(folder)), progress)


def run_trial(trial: Trial, folder: Path, progress: Progress) -> dict[str, list[Curve]]:
    """Return every arm's curves, one a seed; finished runs are read back from ``folder``.

    Args:
        trial: the experiment.
        folder: keeps a file for each finished run.
        progress: shows what happens.
    """
    found: dict[str, list[Curve]] = {arm: [] for arm in trial.arms}
    for seed in range(trial.seeds):
        budget = 0.0
        for place, arm in enumerate(trial.arms):
            progress.say(f"{trial.name}: seed {seed + 1} of {trial.seeds}, {arm}")
            config = trial.config(arm, seed)
            fixed = {"config": config.model_dump(mode="json"), "measure_at": trial.measure_at, "budget": budget}
            facts = {**fixed, **trial.facts()}
            path = folder / f"{trial.name}-seed-{seed}-{arm.replace(' ', '-')}.json"
            curve = kept(path, facts, lambda c=config, b=budget: _run(trial, c, b, progress))
            found[arm].append(curve)
            if trial.equal_cost and not place:
                budget = curve["last"]["tokens_computed"]
    return found


def _run(trial: Trial, config: RunConfig, budget: float, progress: Progress) -> Curve:
    """Train one arm: to the last step, or until its sampling has cost ``budget`` tokens."""
    policy = trial.start(config.seed)
    curve: Curve = {}
    spent = {"tokens_computed": 0.0, "tokens_sampled": 0.0, "trained_tokens": 0.0, "update_seconds": 0.0}
    rows: list[Mapping[str, Any]] = []
    with scratch_trainer(config, policy, progress) as trainer:
        step = 0
        while not _over(trial, step, spent["tokens_computed"], budget):
            if step in trial.measure_at:
                curve[str(step)] = {**trial.measure(trainer), **spent}
            rows.append(row := trainer.step(step))
            spent = {
                "tokens_computed": row["tokens_computed"],
                "tokens_sampled": row["tokens_sampled"],
                "trained_tokens": spent["trained_tokens"] + row["trained_tokens"],
                "update_seconds": spent["update_seconds"] + row["seconds/update"],
            }
            step += 1
        half = rows[len(rows) // 2 :]
        means = {name: mean([row[name] for row in half if name in row]) for name in trial.averaged}
        curve["last"] = {**trial.measure(trainer), **spent, **means, "steps": float(step)}
    if step in trial.measure_at:
        curve[str(step)] = curve["last"]
    return curve


def _over(trial: Trial, step: int, cost: float, budget: float) -> bool:
    steps = trial.measure_at[-1]
    return (cost >= budget or step >= 4 * steps) if budget else step >= steps
