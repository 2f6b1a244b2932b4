"""What a grid of runs says: figures of each method, differences in pairs, and how they grow with the cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pilothouse.reports.figures import Panel, lines_figure, panels_figure
from pilothouse.reports.run_statistics import (
    iqm,
    performance_profile,
    probability_of_improvement,
    stratified_difference,
)
from pilothouse.reports.statistics import Interval, paired_difference
from pilothouse.reports.tables import markdown_table

if TYPE_CHECKING:
    from rich.console import Console

Outcome = Mapping[str, Any]
_POINTS = 12


@dataclass(frozen=True)
class Standing:
    """How one method did; accuracy is that of sampled answers to held-out problems after training.

    Args:
        method: its name.
        accuracy: interquartile mean over runs and tasks, stratified bootstrap.
        greedy: mean over seeds of the tasks' mean greedy accuracy, Student's t.
        difference: accuracy above the first method's, paired by seed, Student's t over seeds.
        bootstrap: the same mean difference with a bootstrap stratified by task.
        improves: chance that a run of it beats a run of the first method.
        solved: mean share of problems with a right answer among the attempts.
        length: mean response length, in tokens.
        entropy: mean nats a token.
        tokens_computed: tokens that sampling computed in training, mean over runs.
        seconds: seconds of training, mean over runs.
    """

    method: str
    accuracy: Interval
    greedy: Interval
    difference: Interval
    bootstrap: Interval
    improves: Interval
    solved: float
    length: float
    entropy: float
    tokens_computed: float
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """Methods side by side.

    Args:
        tasks: names.
        seeds: the same for every method.
        budget: what each run might spend, in words.
        standings: a row a method, the one that the others are compared with first.
        by_task: by task and method, accuracy as mean over seeds with Student's t interval.
    """

    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: str
    standings: tuple[Standing, ...]
    by_task: Mapping[str, Mapping[str, Interval]]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def compare_outcomes(outcomes: Sequence[Outcome], budget: str, rng: np.random.Generator) -> Comparison:
    """Return what finished runs say.

    Args:
        outcomes: of every method, task and seed, each with "method", "task", "seed", "result" and "curve".
        budget: what each run might spend, in words.
        rng: draws the resamples.
    """
    methods, tasks, seeds = (tuple(dict.fromkeys(o[key] for o in outcomes)) for key in ("method", "task", "seed"))
    by = {(o["method"], o["task"], o["seed"]): o for o in outcomes}

    def matrix(method: str, kind: str = "sampled") -> np.ndarray:
        found = [[by[method, task, seed]["result"]["after"][kind]["accuracy"] for task in tasks] for seed in seeds]
        return np.array(found)

    base = matrix(methods[0])
    standings = [_standing(m, matrix(m), matrix(m, "greedy"), base, _of(outcomes, m), rng) for m in methods]
    by_task = {task: {m: _over_seeds(matrix(m)[:, place]) for m in methods} for place, task in enumerate(tasks)}
    return Comparison(tasks, seeds, budget, tuple(standings), by_task)


def _of(outcomes: Sequence[Outcome], method: str) -> list[Mapping[str, Any]]:
    return [outcome["result"] for outcome in outcomes if outcome["method"] == method]


def _standing(
    method: str,
    scores: np.ndarray,
    greedy: np.ndarray,
    base: np.ndarray,
    results: Sequence[Mapping[str, Any]],
    rng: np.random.Generator,
) -> Standing:
    after = [result["after"]["sampled"] for result in results]
    return Standing(
        method=method,
        accuracy=iqm(scores, rng),
        greedy=_over_seeds(greedy.mean(axis=1)),
        difference=paired_difference(scores.mean(axis=1).tolist(), base.mean(axis=1).tolist()),
        bootstrap=stratified_difference(scores, base, rng),
        improves=probability_of_improvement(scores, base, rng),
        solved=_mean([figures["solved"] for figures in after]),
        length=_mean([figures["length"] for figures in after]),
        entropy=_mean([figures["entropy"] for figures in after]),
        tokens_computed=_mean([result["cost"]["tokens_computed"] for result in results]),
        seconds=_mean([result["cost"]["seconds"] for result in results]),
    )


def _over_seeds(values: np.ndarray) -> Interval:
    return paired_difference(values.tolist(), [0.0] * len(values))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")


def draw_comparison(
    found: Comparison, outcomes: Sequence[Outcome], folder: Path, rng: np.random.Generator
) -> dict[str, Path]:
    """Draw accuracy, differences, cost curves and performance profiles; return the PNG of each by name.

    Args:
        found: the comparison.
        outcomes: the runs behind it.
        folder: where to.
        rng: draws the resamples.

    Raises:
        RunError: a figure cannot be written.
    """
    first = found.standings[0].method
    accuracy = {row.method: row.accuracy for row in found.standings}
    ahead = {row.method: row.difference for row in found.standings[1:]}
    panels = [
        Panel("After training", "held-out accuracy, interquartile mean", accuracy),
        Panel(f"Against {first}, in pairs", "difference of accuracy", ahead, 0.0),
    ]
    drawn = {"standings": panels_figure(panels, folder / "standings", title=" · ".join(found.tasks))}
    for task in found.tasks:
        runs = [outcome for outcome in outcomes if outcome["task"] == task]
        axis = np.linspace(0, min(outcome["curve"][-1][0] for outcome in runs), _POINTS)
        series = {row.method: _curve([o for o in runs if o["method"] == row.method], axis) for row in found.standings}
        drawn[f"cost-{task}"] = lines_figure(
            series,
            axis.tolist(),
            folder / f"cost-{task}",
            x_label="tokens computed in sampling",
            y_label="held-out accuracy",
            title=f"{task}: accuracy by cost",
        )
    levels = np.linspace(0, 1, 41).tolist()
    profiles = {row.method: performance_profile(_scores(outcomes, row.method), levels, rng) for row in found.standings}
    drawn["profiles"] = lines_figure(
        profiles,
        levels,
        folder / "profiles",
        x_label="accuracy",
        y_label="share of runs above it",
        title="Performance profiles",
    )
    return drawn


def _scores(outcomes: Sequence[Outcome], method: str) -> np.ndarray:
    """[seeds, tasks] accuracies of a method."""
    mine = [outcome for outcome in outcomes if outcome["method"] == method]
    tasks = dict.fromkeys(outcome["task"] for outcome in mine)
    columns = [[o["result"]["after"]["sampled"]["accuracy"] for o in mine if o["task"] == task] for task in tasks]
    return np.array(columns).T


def _curve(runs: Sequence[Outcome], axis: np.ndarray) -> list[Interval]:
    """Mean accuracy over seeds at each cost, between evaluations by linear interpolation."""
    curves = [np.interp(axis, *np.array(run["curve"], dtype=float).T) for run in runs]
    return [_over_seeds(column) for column in np.array(curves).T]


HEADER = ("method", "accuracy (IQM)", "against the first (points)", "beats it", "greedy", "solved", "length", "entropy")
COST = ("tokens computed", "seconds")


def rows_of(found: Comparison) -> list[list[str]]:
    """Return the table's cells, a row a method, under ``HEADER`` and ``COST``."""
    rows: list[list[str]] = []
    for place, row in enumerate(found.standings):
        ahead = ["-", "-"]
        if place:
            ahead = [row.difference.percent(sign=True).replace(" %", ""), f"{100 * row.improves.estimate:.0f} %"]
        cells = [row.method, row.accuracy.percent(), *ahead, row.greedy.percent(), f"{100 * row.solved:.1f} %"]
        cells += [f"{row.length:.1f}", f"{row.entropy:.3f}", f"{row.tokens_computed:,.0f}", f"{row.seconds:.0f}"]
        rows.append(cells)
    return rows


def print_comparison(found: Comparison, console: Console) -> None:
    """Print the table as Markdown, so that it can be pasted as it is.

    Args:
        found: the comparison.
        console: where to.
    """
    title = f"{', '.join(found.tasks)}: {len(found.seeds)} seeds, {found.budget} a run"
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(markdown_table((*HEADER, *COST), rows_of(found)), markup=False, highlight=False, soft_wrap=True)
    console.print(
        "held-out answers sampled after training; accuracy: 95 % stratified bootstrap; differences in pairs of seeds, "
        "and greedy: 95 % Student's t over seeds",
        style="dim",
        highlight=False,
        soft_wrap=True,
    )
