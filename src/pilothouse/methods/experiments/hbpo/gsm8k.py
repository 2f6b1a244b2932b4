"""The claim at full size: a small reasoning model on GSM8K, with budgets and without."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.full_size import full_size
from pilothouse.methods.experiments.measured import claim, data_folder, over
from pilothouse.reports.figures import Panel
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import paired_difference

SEEDS = 3
ARMS = {
    "classic": Arm("hbpo", {"program": {"name": "group", "n": 16}, "credit": "grpo"}),
    "HBPO": Arm("hbpo", {"program": {"budgets": [256, 512, 1024, 1280]}}),
}


def at_full_size(folder: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], Sequence[Panel]]:
    """Return claims, tables and panels of 32 x 16 episodes over 300 steps; runs that were cut off are continued.

    GSM8K is read from ``PILOTHOUSE_DATA`` if that is set.

    Args:
        folder: keeps the runs.
        progress: shows what happens.
    """
    table: dict[str, Any] = {
        "task": {"name": "gsm8k", "data": data_folder(), "max_tokens": 2048},
        "policy": {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "rows": 512},
        "training": {"steps": 300, "prompts": 32, "eval_problems": 1319},
    }
    runs = full_size(ARMS, table, SEEDS, folder, progress)
    accuracy = {arm: [100 * run.after["sampled"]["accuracy"] for run in many] for arm, many in runs.items()}
    length = {arm: [run.after["sampled"]["length"] for run in many] for arm, many in runs.items()}
    gap = paired_difference(accuracy["HBPO"], accuracy["classic"])
    ratio = over([a / b for a, b in zip(length["HBPO"], length["classic"], strict=True)])
    claims = (
        claim("GSM8K: tokens of HBPO over classic", "at most 0.7", ratio, ratio.estimate <= 0.7, "times"),
        claim(
            "there, accuracy of HBPO against classic",
            "at least -0.5 points",
            gap,
            gap.estimate >= -0.5,
            "points of accuracy",
        ),
    )
    panels = [Panel("GSM8K", "tokens a response", {arm: over(x) for arm, x in length.items()})]
    return claims, {"accuracy": accuracy, "length": length}, panels
