"""The list of runs: search, filters, order, pages."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, View, paged
from pilothouse.dashboard.words import headline
from pilothouse.reports.run_summary import RunSummary, Status


@dataclass(frozen=True)
class Column:
    """A column of the list that it can be put in order by.

    Args:
        name: in the address.
        title: at its head.
        key: what a run is placed by; NaN goes last either way.
        falling: whether the greatest comes first when it is chosen.
        number: whether it holds figures.
    """

    name: str
    title: str
    key: Callable[[RunSummary], Any]
    falling: bool = False
    number: bool = False


COLUMNS = (
    Column("status", "Status", lambda run: list(Status).index(run.status)),
    Column("name", "Run", lambda run: run.name),
    Column("method", "Method", lambda run: run.method),
    Column("task", "Task", lambda run: run.task),
    Column("seed", "Seed", lambda run: run.seed, number=True),
    Column("steps", "Steps", lambda run: run.steps, True, True),
    Column("last", "Last", lambda run: headline(run)[1], True, True),
    Column("result", "Before → after", lambda run: run.after.value if run.after else math.nan, True, True),
    Column("tokens", "Tokens", lambda run: run.tokens, True, True),
    Column("age", "Written", lambda run: run.changed, True),
)
_BY_NAME = {column.name: column for column in COLUMNS}


def runs_view(house: House, query: Query) -> View:
    """Return the list of runs."""
    everything = house.folder.summaries()
    method, task = query.text("method"), query.text("task")
    status = query.choice("status", list(Status))
    shown = [
        run
        for run in everything
        if query.found_in(_words(run)) and method in ("", run.method) and task in ("", run.task)
    ]
    counts = Counter(run.status for run in shown)
    shown = [run for run in shown if status in ("", run.status)]
    wanted = query.choice("sort", [sign + name for name in _BY_NAME for sign in ("", "-")], "-age")
    return View(
        "runs.html",
        {
            "page": "runs",
            "title": "Runs",
            "query": query,
            "columns": COLUMNS,
            "sort": wanted,
            "list": paged(ordered(shown, wanted), query.integer("page", 1, 1)),
            "all": len(everything),
            "counts": counts,
            "statuses": list(Status),
            "methods": sorted({run.method for run in everything if run.method}),
            "tasks": sorted({run.task for run in everything if run.task}),
            "chosen": {"q": query.text("q"), "method": method, "task": task, "status": status},
        },
    )


def ordered(runs: Sequence[RunSummary], wanted: str) -> list[RunSummary]:
    """Return runs in the order of a column, falling with a "-" before its name; the unknown last either way."""
    column, falling = _BY_NAME[wanted.removeprefix("-")], wanted.startswith("-")
    known: list[RunSummary] = []
    unknown: list[RunSummary] = []
    for run in runs:
        key = column.key(run)
        (unknown if key == "" or (isinstance(key, float) and math.isnan(key)) else known).append(run)
    return sorted(known, key=column.key, reverse=falling) + unknown


def _words(run: RunSummary) -> str:
    return f"{run.name} {run.method} {run.task} seed-{run.seed} {run.status}"
