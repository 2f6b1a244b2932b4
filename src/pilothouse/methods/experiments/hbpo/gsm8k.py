"""The claim at full size: a small reasoning model on GSM8K, with budgets and without."""

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
    "classic": {"program": {"name": "group", "n": 16}, "credit": "grpo"},
    "HBPO": {"program": {"budgets": [256, 512, 1024, 1280]}},
}


def full_size(folder: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], Sequence[Panel]]:
    """Return claims, tables and panels of 32 x 16 episodes over 300 steps; runs that were cut off are continued.

    GSM8K is read from ``PILOTHOUSE_DATA`` if that is set.

    Args:
        folder: keeps the runs.
        progress: shows what happens.
    """
    recipe = find_method("hbpo").recipe
    table: dict[str, Any] = {
        "task": {"name": "gsm8k", "data": os.environ.get("PILOTHOUSE_DATA", ""), "max_tokens": 2048},
        "policy": {"model": "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", "rows": 512},
        "training": {"steps": 300, "prompts": 32, "eval_problems": 1319},
    }
    accuracy: dict[str, list[float]] = {arm: [] for arm in ARMS}
    length: dict[str, list[float]] = {arm: [] for arm in ARMS}
    for seed in range(SEEDS):
        for arm, changes in ARMS.items():
            laid = overlay(overlay(recipe.model_dump(mode="json"), table), changes)
            config = resolve("hbpo", recipe, laid, {"seed": seed})
            after = run_once(config, folder / f"{arm}-seed-{seed}", progress)["after"]["sampled"]
            accuracy[arm].append(100 * after["accuracy"])
            length[arm].append(after["length"])
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
