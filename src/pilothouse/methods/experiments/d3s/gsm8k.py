"""The claim at full size: Qwen2.5-0.5B on GSM8K, D3S beside the same recipe on whole batches."""

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
ARMS = {"full batch": Arm("d3s", {"select": "everything"}), "D3S": Arm("d3s")}


def at_full_size(folder: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], Sequence[Panel]]:
    """Return claims, tables and panels of 64 x 16 episodes over 200 steps; runs that were cut off are continued.

    GSM8K is read from ``PILOTHOUSE_DATA`` if that is set.

    Args:
        folder: keeps the runs.
        progress: shows what happens.
    """
    table: dict[str, Any] = {
        "task": {"name": "gsm8k", "data": data_folder()},
        "policy": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "rows": 512},
        "program": {"n": 16},
        "training": {"steps": 200, "prompts": 64, "minibatches": 4, "eval_problems": 1319},
    }
    runs = full_size(ARMS, table, SEEDS, folder, progress)
    accuracy = {arm: [100 * run.after["greedy"]["accuracy"] for run in many] for arm, many in runs.items()}
    seconds = {arm: [run.seconds["update"] + run.seconds["score tokens"] for run in many] for arm, many in runs.items()}
    gap = paired_difference(accuracy["D3S"], accuracy["full batch"])
    ratio = over([a / b for a, b in zip(seconds["D3S"], seconds["full batch"], strict=True)])
    claims = (
        claim("D3S against whole batches on GSM8K", "at least -1 point", gap, gap.estimate >= -1, "points of accuracy"),
        claim(
            "seconds of scoring and update, D3S over whole batches",
            "at most 0.5",
            ratio,
            ratio.estimate <= 0.5,
            "times",
        ),
    )
    panels = [Panel("GSM8K, Qwen2.5-0.5B", "held-out accuracy (%)", {arm: over(x) for arm, x in accuracy.items()})]
    return claims, {"accuracy": accuracy, "update_seconds": seconds}, panels
