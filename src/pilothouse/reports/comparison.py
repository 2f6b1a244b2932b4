"""What a grid of runs says: figures of each method, differences in pairs, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pilothouse.core.errors import RunError
from pilothouse.reports.outcomes import Metric, Outcome
from pilothouse.reports.run_statistics import iqm, probability_of_improvement, stratified_difference
from pilothouse.reports.statistics import Interval, paired_difference
from pilothouse.reports.tables import markdown_table

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class Standing:
    """How one method did.

    Args:
        method: what the comparison calls it.
        score: interquartile mean of what is compared over runs and tasks, stratified bootstrap.
        difference: above the first method's, paired by seed, Student's t over seeds.
        bootstrap: the same mean difference with a bootstrap stratified by task.
        improves: chance that a run of it beats a run of the first method.
        figures: every further figure by name: mean over tasks and seeds, Student's t over seeds.
        costs: every cost by name, likewise.
    """

    method: str
    score: Interval
    difference: Interval
    bootstrap: Interval
    improves: Interval
    figures: Mapping[str, Interval]
    costs: Mapping[str, Interval]

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Standing:
        """Return a row read back from JSON.

        Raises:
            KeyError: something is missing.
        """
        return cls(
            method=row["method"],
            score=Interval.from_dict(row["score"]),
            difference=Interval.from_dict(row["difference"]),
            bootstrap=Interval.from_dict(row["bootstrap"]),
            improves=Interval.from_dict(row["improves"]),
            figures=_intervals(row["figures"]),
            costs=_intervals(row["costs"]),
        )


@dataclass(frozen=True)
class Comparison:
    """Methods side by side.

    Args:
        metric: what is compared.
        further: the other figures.
        costs: what runs cost; the first is what cost curves are drawn over.
        tasks: titles.
        seeds: the same for every method.
        budget: what each run might spend, in words.
        note: how the figures were measured.
        standings: a row a method, the one that the others are compared with first.
        by_task: by task and method, what is compared as mean over seeds with Student's t interval.
    """

    metric: Metric
    further: tuple[Metric, ...]
    costs: tuple[Metric, ...]
    tasks: tuple[str, ...]
    seeds: tuple[int, ...]
    budget: str
    note: str
    standings: tuple[Standing, ...]
    by_task: Mapping[str, Mapping[str, Interval]]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Comparison:
        """Return what ``to_dict`` wrote, read back from JSON; what else is there is left out.

        Raises:
            KeyError: something is missing: another version wrote it.
        """
        return cls(
            metric=Metric(**found["metric"]),
            further=tuple(Metric(**metric) for metric in found["further"]),
            costs=tuple(Metric(**metric) for metric in found["costs"]),
            tasks=tuple(found["tasks"]),
            seeds=tuple(found["seeds"]),
            budget=found["budget"],
            note=found["note"],
            standings=tuple(Standing.from_dict(row) for row in found["standings"]),
            by_task={task: _intervals(row) for task, row in found["by_task"].items()},
        )


def compare_outcomes(outcomes: Sequence[Outcome], budget: str, rng: np.random.Generator) -> Comparison:
    """Return what finished runs say.

    Args:
        outcomes: of every method, task and seed.
        budget: what each run might spend, in words.
        rng: draws the resamples.

    Raises:
        RunError: a run measured no number, or tasks measure different things.
    """
    for one in outcomes:
        if not np.isfinite(one.measured.value):
            raise RunError(
                f"the run in {one.folder} measured no {one.measured.metric.name}: 'pilothouse show {one.folder}' tells "
                "what happened; mend that, delete the folder and call again"
            )
    first = outcomes[0].measured
    if others := [one for one in outcomes if one.measured.metric != first.metric]:
        raise RunError(
            f"{outcomes[0].task} measures {first.metric.name} and {others[0].task} {others[0].measured.metric.name}: "
            "compare on one of them at a time"
        )
    methods = tuple(dict.fromkeys(one.method for one in outcomes))
    tasks = tuple(dict.fromkeys(one.task for one in outcomes))
    seeds = tuple(dict.fromkeys(one.seed for one in outcomes))
    by = {(one.method, one.task, one.seed): one.measured for one in outcomes}

    def matrix(method: str, metric: Metric, costs: bool = False) -> np.ndarray:
        found = [[by[method, task, seed] for task in tasks] for seed in seeds]
        return np.array([[(one.costs if costs else one.figures)[metric] for one in row] for row in found])

    def standing(method: str) -> Standing:
        scores, base = matrix(method, first.metric), matrix(methods[0], first.metric)
        return Standing(
            method,
            iqm(scores, rng),
            paired_difference(scores.mean(axis=1).tolist(), base.mean(axis=1).tolist()),
            stratified_difference(scores, base, rng),
            probability_of_improvement(scores, base, rng),
            {metric.name: over_seeds(matrix(method, metric).mean(axis=1)) for metric in further},
            {metric.name: over_seeds(matrix(method, metric, costs=True).mean(axis=1)) for metric in first.costs},
        )

    further = tuple(first.figures)[1:]
    return Comparison(
        metric=first.metric,
        further=further,
        costs=tuple(first.costs),
        tasks=tasks,
        seeds=seeds,
        budget=budget,
        note=first.note,
        standings=tuple(standing(method) for method in methods),
        by_task={
            task: {method: over_seeds(matrix(method, first.metric)[:, place]) for method in methods}
            for place, task in enumerate(tasks)
        },
    )


def _intervals(found: Mapping[str, Any]) -> dict[str, Interval]:
    return {name: Interval.from_dict(one) for name, one in found.items()}


def over_seeds(values: np.ndarray) -> Interval:
    """Return the mean of one figure a seed with Student's t interval; figures that are not numbers are left out."""
    known = values[np.isfinite(values)].tolist()
    return paired_difference(known, [0.0] * len(known)) if known else Interval(*[np.nan] * 3, level=0.95, n=0)


def header_of(found: Comparison) -> list[str]:
    """Return the headings of ``rows_of``."""
    against = "against the first (points)" if found.metric.share else "against the first"
    names = [metric.name for metric in (*found.further, *found.costs)]
    return ["method", f"{found.metric.name} (IQM)", against, "beats it", *names]


def rows_of(found: Comparison) -> list[list[str]]:
    """Return the table's cells, a row a method, under ``header_of``."""
    rows: list[list[str]] = []
    for place, row in enumerate(found.standings):
        ahead = ["-", "-"]
        if place:
            ahead = [found.metric.interval(row.difference, sign=True), f"{100 * row.improves.estimate:.0f} %"]
        figures = [
            metric.interval(row.figures[metric.name])
            if metric.share
            else metric.text(row.figures[metric.name].estimate)
            for metric in found.further
        ]
        costs = [metric.text(row.costs[metric.name].estimate) for metric in found.costs]
        rows.append([row.method, found.metric.interval(row.score), *ahead, *figures, *costs])
    return rows


def legend(found: Comparison) -> str:
    """Return what the table's figures are, in sentences."""
    over = "runs and tasks" if len(found.tasks) > 1 else "runs"
    return (
        f"{found.note} {found.metric.name}: interquartile mean over {over}, 95 % stratified bootstrap; differences in "
        "pairs of seeds, and other shares: 95 % Student's t over seeds; beats it: chance that a run is above a run of "
        "the first method"
    )


def print_comparison(found: Comparison, console: Console) -> None:
    """Print the table as Markdown, so that it can be pasted as it is.

    Args:
        found: the comparison.
        console: where to.
    """
    title = f"{', '.join(found.tasks)}: {_count(found.seeds)}, {found.budget} a run"
    console.print(title, style="bold", markup=False, highlight=False)
    console.print(markdown_table(header_of(found), rows_of(found)), markup=False, highlight=False, soft_wrap=True)
    console.print(legend(found), style="dim", markup=False, highlight=False, soft_wrap=True)


def _count(seeds: Sequence[int]) -> str:
    return f"{len(seeds)} seed{'s' if len(seeds) > 1 else ''}"
