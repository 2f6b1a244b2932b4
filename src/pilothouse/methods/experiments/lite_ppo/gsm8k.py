"""The claim at full size: Qwen2.5-0.5B on GSM8K, Lite PPO beside GRPO and DAPO."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pilothouse.methods.base import find_method
from pilothouse.reports.progress import Progress
from pilothouse.training.ablate import run_once
from pilothouse.training.config import resolve

METHODS = ("grpo", "dapo", "lite-ppo")
SEEDS = 3


def run_gsm8k(folder: Path, progress: Progress) -> dict[str, list[float]]:
    """Return each method's held-out accuracy, greedy, a figure a seed; runs that were cut off are continued.

    GSM8K is read from ``PILOTHOUSE_DATA`` if that is set.

    Args:
        folder: keeps the runs.
        progress: shows what happens.
    """
    table: dict[str, Any] = {
        "task": {"name": "gsm8k", "data": os.environ.get("PILOTHOUSE_DATA", "")},
        "policy": {"model": "Qwen/Qwen2.5-0.5B", "rows": 1024},
        "training": {"steps": 200, "prompts": 128, "eval_problems": 1319},
    }
    found: dict[str, list[float]] = {method: [] for method in METHODS}
    for seed in range(SEEDS):
        for method in METHODS:
            config = resolve(method, find_method(method).recipe, table, {"seed": seed})
            result = run_once(config, folder / f"{method}-seed-{seed}", progress)
            found[method].append(result["after"]["greedy"]["accuracy"])
    return found
