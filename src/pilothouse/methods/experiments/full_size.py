"""Experiments at full size: recipes side by side on one task and model, a run folder a seed, continued if cut off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.arms import Arm
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.ablate import run_folder, run_once
from pilothouse.training.config import overlay, resolve


@dataclass(frozen=True)
class FullRun:
    """One finished run.

    Args:
        after: the held-out evaluation, by "greedy" and "sampled".
        seconds: wall-clock seconds by phase.
        metrics: the rows of its steps.
    """

    after: Mapping[str, Any]
    seconds: Mapping[str, float]
    metrics: tuple[Mapping[str, Any], ...]

    def curve(self, name: str) -> list[float]:
        """Return a metric at every step."""
        return [float(row[name]) for row in self.metrics]


def full_size(
    arms: Mapping[str, Arm], table: Mapping[str, Any], seeds: int, folder: Path, progress: Progress
) -> dict[str, list[FullRun]]:
    """Return every arm's runs, a list over seeds.

    Args:
        arms: recipes by name.
        table: what is laid over all of them: task, policy, training.
        seeds: independent runs an arm.
        folder: keeps the runs.
        progress: shows what happens.
    """
    found: dict[str, list[FullRun]] = {name: [] for name in arms}
    for seed in range(seeds):
        for name, arm in arms.items():
            recipe = find_method(arm.method).policy_gradient
            changed = overlay(recipe.model_dump(mode="json"), arm.changes)
            config = resolve(arm.method, recipe, changed, table, {"seed": seed})
            path = folder / f"{name.replace(' ', '-')}-seed-{seed}"
            result = run_once(config, path, progress)
            metrics = tuple(RunStore.open(run_folder(config, path)).metrics())
            found[name].append(FullRun(result["after"], result["seconds"], metrics))
    return found
