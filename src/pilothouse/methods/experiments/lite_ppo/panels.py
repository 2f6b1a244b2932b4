"""The figure of Lite PPO's claims: a panel an experiment, its bar dashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.methods.experiments.arms import Curve
from pilothouse.methods.experiments.measured import figure, measured_steps, over, points
from pilothouse.reports.figures import Panel
from pilothouse.reports.statistics import Interval


def panels(tables: Mapping[str, Any]) -> list[Panel]:
    """Return the panels of whichever experiments the tables hold.

    Args:
        tables: the evidence's tables.
    """
    drawn: list[Panel] = []
    if "amplification" in tables:
        energy = {name: Interval(**value) for name, value in tables["amplification"]["success 0.97"].items()}
        drawn.append(Panel("Gradient energy on pure noise", "share, mean of batches", energy, 0.7))
    if "easy data" in tables:
        runs: Mapping[str, Sequence[Curve]] = tables["easy data"]
        distinct = {arm: over(figure(found, "distinct", measured_steps(found[0])[-1])) for arm, found in runs.items()}
        bar = 1.3 * distinct["GRPO"].estimate
        drawn.append(Panel("Easy data, noisy rewards", "distinct right answers of 16; bar: 1.3 x GRPO", distinct, bar))
    for name, title, bar in (("length", "Longer answers are better", 1.0), ("presets", "From a base-like start", -3.0)):
        if name in tables:
            drawn.append(_ahead(title, tables[name], bar))
    if "accuracy" in tables:
        accuracy = {name: over([100 * x for x in values]) for name, values in tables["accuracy"].items()}
        drawn.append(Panel("GSM8K, Qwen2.5-0.5B", "held-out accuracy (%)", accuracy))
    return drawn


def _ahead(title: str, runs: Mapping[str, Sequence[Curve]], bar: float) -> Panel:
    """Every arm's accuracy beside GRPO's, paired by seed."""
    accuracy = {arm: figure(found, "accuracy", measured_steps(found[0])[-1]) for arm, found in runs.items()}
    ahead = {arm: points(values, accuracy["GRPO"]) for arm, values in accuracy.items() if arm != "GRPO"}
    step = measured_steps(runs["GRPO"][0])[-1]
    return Panel(f"{title}, step {step}", f"points of accuracy above GRPO; Lite PPO's bar: {bar:+g}", ahead, bar)
