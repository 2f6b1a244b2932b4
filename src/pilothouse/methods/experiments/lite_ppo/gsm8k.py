"""The claim at full size: Qwen2.5-0.5B on GSM8K, Lite PPO beside GRPO and DAPO."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.full_size import full_size
from pilothouse.methods.experiments.measured import data_folder
from pilothouse.reports.progress import Progress

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
        "task": {"name": "gsm8k", "data": data_folder()},
        "policy": {"model": "Qwen/Qwen2.5-0.5B", "rows": 1024},
        "training": {"steps": 200, "prompts": 128, "eval_problems": 1319},
    }
    arms = {method: Arm(method) for method in METHODS}
    runs = full_size(arms, table, SEEDS, folder, progress)
    return {method: [run.after["greedy"]["accuracy"] for run in many] for method, many in runs.items()}
