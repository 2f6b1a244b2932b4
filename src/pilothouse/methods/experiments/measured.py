"""From the figures of seeds to claims: what all experiments share."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pilothouse.core.cards import Claim
from pilothouse.reports.statistics import Interval, paired_difference

POINTS = "points of accuracy"


def figure(runs: Sequence[Mapping[str, Mapping[str, float]]], name: str, at: int | str = "last") -> list[float]:
    """Return one figure of every seed.

    Args:
        runs: a table a seed: figures by name, by the training step they were taken at.
        name: the figure's name.
        at: a measured step, or "last".
    """
    return [run[str(at)][name] for run in runs]


def measured_steps(run: Mapping[str, Mapping[str, float]]) -> list[int]:
    """Return the training steps at which a run was measured, ascending."""
    return sorted(int(step) for step in run if step != "last")


def mean(values: Sequence[float]) -> float:
    """Return the mean, NaN of nothing."""
    return sum(values) / len(values) if values else float("nan")


def over(values: Sequence[float]) -> Interval:
    """Return the mean of independent values with Student's t interval."""
    return paired_difference(values, [0.0] * len(values))


def points(a: Sequence[float], b: Sequence[float]) -> Interval:
    """Return the paired difference of two accuracies in percentage points."""
    return paired_difference([100 * x for x in a], [100 * x for x in b])


def claim(statement: str, bar: str, measured: Interval, passed: bool, unit: str, note: str = "") -> Claim:
    """Return a claim with the figure and interval that were measured.

    Args:
        statement: what should hold.
        bar: the threshold, fixed before measuring.
        measured: the figure.
        passed: whether the bar was reached.
        unit: the figure's unit.
        note: what was seen.
    """
    return Claim(
        statement=statement,
        bar=bar,
        measured=measured.estimate,
        low=measured.low,
        high=measured.high,
        level=measured.level,
        passed=passed,
        unit=unit,
        n=measured.n,
        note=note,
    )


def data_folder() -> str:
    """Return the folder that ``PILOTHOUSE_DATA`` names; empty reads from the hub."""
    return os.environ.get("PILOTHOUSE_DATA", "")


def find_data(pattern: str) -> Path | None:
    """Return the first file under ``PILOTHOUSE_DATA`` that fits a pattern; ``None`` if there is none.

    Args:
        pattern: as ``Path.glob`` takes it, such as "**/NAME".
    """
    folder = data_folder()
    return min(Path(folder).glob(pattern), default=None) if folder else None
