"""How runs that learn to act are compared: success or return in episodes, at equal numbers of optimiser steps."""

from __future__ import annotations

import math
from typing import Any

import torch

from pilothouse.core.budgets import Budget
from pilothouse.core.seeds import SeedTree
from pilothouse.reports.outcomes import Measured, Metric
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.control import ControlTask
from pilothouse.training.acting import ActingSettings

SUCCESS, RETURN = Metric("success", share=True), Metric("return")
_MEASUREMENTS = 6  # of a run, the last one after training
_NOT_TRAINING = ("evaluate", "checkpoint")


class ActingReferee:
    """Compares runs that learn to act from what was recorded."""

    def allowance(self, budget: str) -> dict[str, Any]:
        """Return the settings of a budget in training steps."""
        return {"steps": Budget.parse(budget, "steps").amount}

    def spends(self, config: ActingSettings) -> str:
        """Return in words what a run may spend."""
        return f"{config.loop_settings.steps * config.updates:,} optimiser steps"

    def pace(self, config: ActingSettings) -> int:
        """Return after how many steps a run is measured again."""
        return max(1, config.loop_settings.steps // _MEASUREMENTS)

    def metric(self, config: ActingSettings) -> Metric:
        """Return success where the task says whether it was fulfilled, else the return."""
        return SUCCESS if _judges(config.task) else RETURN

    def ready(self, config: ActingSettings, progress: Progress) -> None:
        """Runs share nothing that takes time to make."""

    def measured(self, store: RunStore) -> Measured:
        """Return how the policy acted after training, what that took, and what an action takes."""
        result, updates = store.read_result(), _updates(store)
        found, steps = result["evaluation"], result["steps"] * updates
        success, earned = found["success"], _number(found["return"]["estimate"])
        figures = {} if success is None else {SUCCESS: success["estimate"]}
        figures |= {
            RETURN: earned,
            Metric("episode length"): found["length"],
            Metric("change of action"): found["jerk"],
        }
        curve = [(row["step"] * updates, _number(row["held_out"])) for row in store.metrics() if "held_out" in row]
        return Measured(
            figures=figures,
            costs={
                Metric("optimiser steps"): steps,
                Metric("seconds"): sum(s for phase, s in result["seconds"].items() if phase not in _NOT_TRAINING),
                Metric("network calls an action"): found["calls_per_action"],
                Metric("ms an action"): 1000 * found["seconds"] / (found["length"] * found["episodes"]),
            },
            curve=[*curve, (steps, next(iter(figures.values())))],
            note=f"{found['episodes']} episodes after training; optimiser steps and seconds of training; network calls "
            f"and milliseconds of planning for each action, {found['episodes']} episodes side by side.",
            picture=store.path / result["picture"],
        )


def _updates(store: RunStore) -> int:
    """Optimiser steps in a step of a finished run."""
    return int(store.read_config()["training"].get("batches", 1))


def _judges(task: ControlTask) -> bool:
    """Whether a task says of an episode if it was fulfilled: it does so at every step."""
    world = task.make(1, SeedTree(0) / "judges")
    world.reset()
    return bool(world.step(torch.zeros(1, task.action_dim)).success.isfinite().all())


def _number(value: float | None) -> float:
    return math.nan if value is None else value
