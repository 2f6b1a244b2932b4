"""The claim at full size: a small reasoning model on GSM8K, with truncation and without."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.arms import claim, over
from pilothouse.reports.figures import Panel
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import paired_difference
from pilothouse.training.ablate import run_once
from pilothouse.training.config import overlay, resolve

SEEDS = 3
ARMS: dict[str, dict[str, Any]] = {
    "GRPO": {"select": {"name": "chain", "parts": ["zero-variance", "predictive-sampling"]}},
    "DOT": {},
}


def full_size(folder: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], Sequence[Panel]]:
    """Return claims, tables and panels of 32 x 16 episodes over 200 steps; runs that were cut off are continued.

    GSM8K is read from ``PILOTHOUSE_DATA`` if that is set.

    Args:
        folder: keeps the runs.
        progress: shows what happens.
    """
    recipe = find_method("dot").recipe.model_dump(mode="json")
    table: dict[str, Any] = {
        "task": {"name": "gsm8k", "data": os.environ.get("PILOTHOUSE_DATA", ""), "max_tokens": 4096},
        "policy": {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "rows": 512},
        "program": {"n": 16},
        "training": {"steps": 200, "prompts": 32, "eval_problems": 1319},
    }
    accuracy: dict[str, list[float]] = {arm: [] for arm in ARMS}
    length: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(SEEDS):
        for arm, changes in ARMS.items():
            laid = overlay(overlay(recipe, table), changes)
            config = resolve("dot", find_method("dot").recipe, laid, {"seed": seed})
            after = run_once(config, folder / f"{arm}-seed-{seed}", progress)["after"]["sampled"]
            accuracy[arm].append(100 * after["accuracy"])
            length[arm].append(after["length"])
    gap = paired_difference(accuracy["DOT"], accuracy["GRPO"])
    ratio = over([a / b for a, b in zip(length["DOT"], length["GRPO"], strict=True)])
    claims = (
        claim("GSM8K: tokens of DOT over GRPO", "at most 0.7", ratio, ratio.estimate <= 0.7, "times"),
        claim(
            "there, accuracy of DOT against GRPO", "at least -1 point", gap, gap.estimate >= -1, "points of accuracy"
        ),
    )
    panels = [Panel("GSM8K", "tokens a response", {arm: over(x) for arm, x in length.items()})]
    return claims, {"accuracy": accuracy, "length": length}, panels
