"""Figures of a comparison: standings and differences, cost curves, performance profiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from pilothouse.reports.comparison import Comparison, over_seeds
from pilothouse.reports.figures import Panel, lines_figure, panels_figure
from pilothouse.reports.outcomes import Outcome
from pilothouse.reports.run_statistics import performance_profile
from pilothouse.reports.statistics import Interval

_POINTS, _LEVELS = 12, 41


def draw_comparison(
    found: Comparison, outcomes: Sequence[Outcome], folder: Path, rng: np.random.Generator
) -> dict[str, Path]:
    """Draw standings, cost curves and performance profiles; return the PNG of each by name.

    Args:
        found: the comparison.
        outcomes: the runs behind it.
        folder: where to.
        rng: draws the resamples.

    Raises:
        RunError: a figure cannot be written.
    """
    metric, first = found.metric, found.standings[0].method
    panels = [
        Panel(
            "After training", f"{metric.name}, interquartile mean", {_plain(r.method): r.score for r in found.standings}
        ),
        Panel(
            f"Against {_plain(first)}, in pairs",
            f"difference of {metric.name}",
            {_plain(r.method): r.difference for r in found.standings[1:]},
            0.0,
        ),
    ]
    drawn = {"standings": panels_figure(panels, folder / "standings", title=" · ".join(found.tasks))}
    for place, task in enumerate(found.tasks):
        runs = [one for one in outcomes if one.task == task]
        axis = np.linspace(*_range(runs), _POINTS)
        series = {_plain(r.method): _curve([o for o in runs if o.method == r.method], axis) for r in found.standings}
        name = f"cost-{place + 1}"  # a task's title may be no name for a file
        drawn[name] = lines_figure(
            series,
            axis.tolist(),
            folder / name,
            x_label=found.costs[0].name,
            y_label=metric.name,
            title=f"{task}: {metric.name} by cost",
        )
    return {**drawn, "profiles": _profiles(found, outcomes, folder / "profiles", rng)}


def _profiles(found: Comparison, outcomes: Sequence[Outcome], stem: Path, rng: np.random.Generator) -> Path:
    values = [one.measured.value for one in outcomes]
    low, high = (0.0, 1.0) if found.metric.share else (min(values), max(values))
    levels = np.linspace(low, high, _LEVELS).tolist()
    series = {_plain(r.method): performance_profile(_scores(outcomes, r.method), levels, rng) for r in found.standings}
    name = found.metric.name
    return lines_figure(
        series, levels, stem, x_label=name, y_label="share of runs above it", title="Performance profiles"
    )


def _scores(outcomes: Sequence[Outcome], method: str) -> np.ndarray:
    """[seeds, tasks] of what is compared."""
    mine = [one for one in outcomes if one.method == method]
    tasks = dict.fromkeys(one.task for one in mine)
    return np.array([[one.measured.value for one in mine if one.task == task] for task in tasks]).T


def _range(runs: Sequence[Outcome]) -> tuple[float, float]:
    """From the first measurement of any run to the cost that all of them reached."""
    curves = [one.measured.curve for one in runs]
    return min(curve[0][0] for curve in curves), min(curve[-1][0] for curve in curves)


def _curve(runs: Sequence[Outcome], axis: np.ndarray) -> list[Interval]:
    """Mean over seeds at each cost, between measurements by linear interpolation; NaN before the first of them."""
    curves = [np.interp(axis, *np.array(run.measured.curve, dtype=float).T, left=np.nan) for run in runs]
    found = [over_seeds(np.where(np.isnan(points).any(), np.nan, points)) for points in np.array(curves).T]
    if not runs[0].measured.metric.share:
        return found
    # Student's t knows no bounds: a band above 1 or below 0 would hide the curves
    return [one if one.n < 2 else replace(one, low=max(one.low, 0.0), high=min(one.high, 1.0)) for one in found]


def _plain(name: str) -> str:
    """A name that the drawing takes as it is: a dollar sign would begin a formula."""
    return name.replace("$", r"\$")
