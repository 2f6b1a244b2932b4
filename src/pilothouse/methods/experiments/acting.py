"""What experiments with policies that act share: runs that are made once, and arms measured on the same episodes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pilothouse.control.samplers import Sampler
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured
from pilothouse.policies.chunk import ChunkPolicy, load_policy
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.tasks.control import ControlTask
from pilothouse.training.ablate import run_folder, run_once
from pilothouse.training.action_evaluation import evaluate_actions


@dataclass(frozen=True)
class Arm:
    """A way to act with a trained policy.

    Args:
        sampler: how it plans.
        execute: actions of each plan that are executed.
    """

    sampler: Sampler
    execute: int = 1


def trained(
    method: str, table: Mapping[str, Any], folder: Path, progress: Progress
) -> tuple[ChunkPolicy, dict[str, Any]]:
    """Return a run's policy and result: read back when finished with the same settings, continued when begun.

    Args:
        method: whose recipe is trained.
        table: settings over the recipe's own, task included.
        folder: the run's own, to whose name ``run_folder`` adds.
        progress: shows what happens.
    """
    config = configured(method, None, table)
    result = run_once(config, folder, progress)
    return load_policy(run_folder(config, folder) / "model"), result


def summary(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Return an arm's figures without what is told of every episode."""
    return {name: value for name, value in figures.items() if name not in ("successes", "middle")}


def measured(
    arm: Arm,
    policy: ChunkPolicy,
    task: ControlTask,
    episodes: int,
    seeds: SeedTree,
    cell: Path,
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Return an arm's figures, from ``cell`` if they were measured there before.

    Args:
        arm: how to act.
        policy: with what.
        task: where.
        episodes: how many; the same node of seeds gives every arm the same starts.
        seeds: node of the evaluation.
        cell: where the figures are kept.
        facts: what the policy depends on.
    """
    everything = {
        "sampler": arm.sampler.model_dump(mode="json"),
        "execute": arm.execute,
        "task": task.model_dump(mode="json"),
        "episodes": episodes,
        "seeds": [seeds.root, *seeds.path],
        "policy": facts,
    }

    def work() -> dict[str, Any]:
        found = evaluate_actions(task, policy, arm.sampler, arm.execute, episodes, seeds)
        middle = [
            float(one.observations[one.observations[:, 0].abs().argmin(), 1]) for one in found.outcomes.trajectories
        ]
        return {**found.to_dict(), "successes": found.outcomes.success.tolist(), "middle": middle}

    return kept(cell, everything, work)


def latencies(plans: Mapping[str, tuple[ChunkPolicy, Sampler]], rounds: int) -> dict[str, float]:
    """Return milliseconds of one plan for one slot, by name: the median over rounds that take turns.

    What else runs on the machine so slows all alike. The first plan of an episode, which a sampler that remembers
    solves in full, is made before the clock starts.

    Args:
        plans: what plans, and how.
        rounds: plans of each.
    """
    rows, taken = torch.arange(1), {name: list[float]() for name in plans}
    planners = {}
    for name, (policy, sampler) in plans.items():
        seen = torch.zeros(1, policy.model.observation_steps, policy.observation_dim)
        planners[name] = sampler.planner(policy, 1, torch.Generator().manual_seed(0), 1), seen
        planners[name][0].reset(torch.ones(1, dtype=torch.bool))
        planners[name][0].predict(seen, rows)
    for _ in range(rounds):
        for name, (planner, seen) in planners.items():
            started = time.perf_counter()
            planner.predict(seen, rows)
            taken[name].append(1000 * (time.perf_counter() - started))
    return {name: statistics.median(values) for name, values in taken.items()}
