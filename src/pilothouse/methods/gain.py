"""The experiment every trainable method shares: whether training with it raises held-out accuracy, over seeds."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Evidence
from pilothouse.methods.base import Reproduce, find_method
from pilothouse.methods.experiments.measured import POINTS, claim, data_folder, mean, points
from pilothouse.reports.figures import intervals_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval
from pilothouse.training.ablate import run_once
from pilothouse.training.config import resolve


@dataclass(frozen=True)
class Scale:
    """The size of an experiment.

    Args:
        table: what is laid over the method's own settings.
        seeds: how many independent runs.
    """

    table: dict[str, Any]
    seeds: int


def scales() -> dict[str, Scale]:
    """Return the sizes by name; GSM8K is read from ``PILOTHOUSE_DATA`` if that is set."""
    data = data_folder()
    nano = {"size": "nano", "warm_start": {"epochs": 1.0}}
    return {
        "smoke": Scale(
            {
                "task": {"name": "chain-arithmetic"},
                "policy": nano,
                "training": {"steps": 2, "prompts": 4, "eval_problems": 16, "refill": 1},
            },
            2,
        ),
        "small": Scale(
            {
                "task": {"name": "gsm8k-calc", "data": data},
                "training": {"steps": 150, "schedule": "linear", "eval_problems": 1500, "eval_samples": 4},
            },
            3,
        ),
        "gpu": Scale(
            {
                "task": {"name": "gsm8k", "data": data},
                "policy": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "rows": 512},
                "training": {"steps": 200, "prompts": 128, "eval_problems": 1319},
            },
            3,
        ),
    }


def training_gain(name: str) -> Reproduce:
    """Return the experiment of the method called ``name``.

    Args:
        name: a registered method.
    """

    def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
        started, size = time.perf_counter(), scales()[scale]
        results = [_run(name, size, seed, out, progress) for seed in range(size.seeds)]
        after, before = ([r[when]["sampled"]["accuracy"] for r in results] for when in ("after", "before"))
        gain = points(after, before)
        task = size.table["task"]["name"]
        raised = claim(
            f"training with {name} raises the held-out accuracy of sampled answers on {task}",
            "lower end of the 95 % interval over seeds above 0 points",
            gain,
            gain.low > 0,
            POINTS,
            f"{results[0]['source']}; before {mean(before):.1%}, after {mean(after):.1%}",
        )
        figure = intervals_figure(
            [f"{when}, seed {seed}" for seed in range(size.seeds) for when in ("before", "after")],
            [_interval(r[when]["sampled"]) for r in results for when in ("before", "after")],
            out / "gain",
            title=f"{name} on {task}",
            unit="held-out accuracy",
        )
        return Evidence.of(name, scale, (raised,), {"runs": results}, figure.name, time.perf_counter() - started)

    return reproduce


def _run(name: str, size: Scale, seed: int, out: Path, progress: Progress) -> dict[str, Any]:
    progress.say(f"{name}: seed {seed + 1} of {size.seeds}")
    config = resolve(name, find_method(name).policy_gradient, size.table, {"seed": seed})
    return run_once(config, out / f"seed-{seed}", progress)


def _interval(figures: dict[str, Any]) -> Interval:
    return Interval(figures["accuracy"], figures["low"], figures["high"], figures["level"], figures["problems"])
