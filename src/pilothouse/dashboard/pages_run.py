"""A run: what it is, how it goes, what came of it; and the same as pieces for the script that keeps it current."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pilothouse.core.errors import RunError
from pilothouse.dashboard.curves import panels
from pilothouse.dashboard.pages_files import figures_of
from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, View
from pilothouse.dashboard.words import figure, plain
from pilothouse.reports.metrics_file import Metrics
from pilothouse.reports.row_file import RowFile
from pilothouse.reports.run_list import Found
from pilothouse.reports.run_summary import Figure, RunSummary, Status, number, table, tables, tolerant
from pilothouse.reports.show import one_line

AGAIN_S = {Status.TRAINING: 2, Status.STOPPED: 15, Status.FINISHED: 0, Status.DAMAGED: 15}
_EXAMPLES, _MOST_BYTES = 2, 8 * 2**20  #: responses quoted from each end, bytes of the newest step they are of
#: Rows of the table of measurements, with how their figures are written.
_MEASURES = ("accuracy", "reward", "length", "entropy", "truncated", "solved", "distinct")


def run_view(house: House, name: str, query: Query) -> View:
    """Return the page of a run.

    Raises:
        RunError: there is no such run.
    """
    found = house.folder.find(name, ("run",))
    faults = list(house.folder.summary(found).faults)
    context = current(house, found, query)
    config = tolerant(faults, lambda: house.config(found))
    result = tolerant(faults, lambda: house.result(found))
    context |= {
        "page": "runs",
        "title": name.rpartition("/")[2],
        "faults": [house.folder.plain(fault) for fault in dict.fromkeys(faults)],
        "settings": settings(config),
        "versions": table(config.get("versions")),
        "measures": _measures(result),
        "evaluation": _figures(table(result.get("evaluation"))),
        "seconds": {key: number(value) for key, value in table(result.get("seconds")).items()},
        "advice": tables(result.get("advice")),
        "figures": figures_of(house.folder, found),
    }
    return View("run.html", context)


def current(house: House, found: Found, query: Query) -> dict[str, Any]:
    """Return what changes while a run trains."""
    summary = house.folder.summary(found)
    try:
        metrics, fault = house.metrics.get(house.folder.file(found, "metrics.jsonl")), ""
    except RunError as error:
        metrics, fault = Metrics(), house.folder.plain(str(error))
    chosen = [name for name in query.many("m") if name]
    faults = [fault] if fault else []
    faults += [f"metrics.jsonl: {metrics.faults} damaged lines are left out"] if metrics.faults else []
    add_ends(metrics, summary)
    shown = panels({"": metrics}, chosen)
    return {
        "query": query,
        "run": summary,
        "name": found.name,
        "panels": shown,
        "names": metrics.names(),
        "picked": [panel.name for panel in shown],
        "curve_faults": faults,
        "samples": _samples(house, found),
        "state": f"{summary.status}-{summary.steps}-{summary.changed:.3f}-{len(metrics.steps)}",
        "again": AGAIN_S[summary.status],
    }


def add_ends(metrics: Metrics, summary: RunSummary) -> None:
    """Add what was measured before the first and after the last step to the figures of the steps."""
    points: list[tuple[float, Figure | None]] = [(0, summary.before), (summary.steps, summary.after)]
    for step, found in points:
        if found is not None and math.isfinite(found.low) and math.isfinite(found.high):
            ends = {"held_out": found.value, "held_out_low": found.low, "held_out_high": found.high}
            metrics.add({"step": step, **ends})


def _samples(house: House, found: Found) -> dict[str, Any]:
    """The best and the worst responses of the newest step."""
    try:
        rows = RowFile(house.folder.file(found, "rollouts.jsonl"))
        steps = rows.steps()
        if steps is None:
            return {}
        newest = rows.page(rows.seek(steps[1]), most=4096, budget=_MOST_BYTES).rows
    except RunError as error:
        return {"fault": house.folder.plain(str(error))}
    judged = [(at, row) for at, row in newest if math.isfinite(number(row.get("reward")))]
    ranked = sorted(judged, key=lambda pair: -number(pair[1]["reward"]))
    best = ranked[:_EXAMPLES]
    return {"steps": steps, "best": best, "worst": ranked[len(best) :][-_EXAMPLES:][::-1]}


def settings(config: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return a configuration as sections of dotted names and values; what belongs to no table comes first."""
    plain = [(key, one_line(value)) for key, value in config.items() if not isinstance(value, Mapping)]
    sections = [
        (key, [(inner, one_line(leaf)) for inner, leaf in _leaves(value)])
        for key, value in config.items()
        if isinstance(value, Mapping) and key != "versions"
    ]
    return ([("run", plain)] if plain else []) + [section for section in sections if section[1]]


def _leaves(found: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for key, value in found.items():
        leaves += _leaves(value, f"{before}{key}.") if isinstance(value, Mapping) else [(f"{before}{key}", value)]
    return leaves


def _figures(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Figures of a measurement for reading: one with an interval in a line."""
    shown: list[tuple[str, str]] = []
    for key, value in found.items():
        estimate = number(table(value).get("estimate"))
        if math.isfinite(estimate):
            low, high = number(value.get("low")), number(value.get("high"))
            shown.append((key, figure(Figure(estimate, low, high, key))))
        else:
            shown += [(name, plain(leaf)) for name, leaf in _leaves({key: value})]
    return shown


def _measures(result: Mapping[str, Any]) -> list[tuple[str, list[dict[str, float]]]]:
    """Rows of figures before and after training: sampled, then greedy."""
    columns = [
        table(table(result.get(when)).get(kind)) for kind in ("sampled", "greedy") for when in ("before", "after")
    ]
    rows: list[tuple[str, list[dict[str, float]]]] = []
    for name in _MEASURES:
        ends = ("low", "high") if name == "accuracy" else ()
        cells = [{key: number(column.get(key)) for key in (name, *ends)} for column in columns]
        cells = [{"value": cell[name], **{end: cell[end] for end in ends}} for cell in cells]
        if any(math.isfinite(cell["value"]) for cell in cells):
            rows.append((name, cells))
    return rows
