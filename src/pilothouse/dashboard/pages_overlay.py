"""Several runs in the same pictures."""

from __future__ import annotations

from pilothouse.core.errors import RunError
from pilothouse.dashboard.curves import panels
from pilothouse.dashboard.pages_run import add_ends
from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, View
from pilothouse.reports.metrics_file import Metrics
from pilothouse.reports.run_summary import RunSummary

MOST = 8  #: runs in a picture, as many as there are colours


def overlay_view(house: House, query: Query) -> View:
    """Return the curves of the runs that were chosen, a colour a run."""
    names = list(dict.fromkeys(query.many("run")))
    shown: dict[str, Metrics] = {}
    faults: list[str] = []
    summaries: list[RunSummary] = []
    for name in names[:MOST]:
        try:
            found = house.folder.find(name, ("run",))
            metrics, summary = house.metrics.get(house.folder.file(found, "metrics.jsonl")), house.folder.summary(found)
            add_ends(metrics, summary)
            shown[name] = metrics
            summaries.append(summary)
        except RunError as error:
            faults.append(house.folder.plain(str(error)))
    known = list(dict.fromkeys(name for metrics in shown.values() for name in metrics.names()))
    drawn = panels(shown, query.many("m")) if known else []
    return View(
        "overlay.html",
        {
            "page": "runs",
            "title": "Curves of several runs",
            "query": query,
            "runs": summaries,
            "left_out": max(0, len(names) - MOST),
            "faults": faults,
            "panels": drawn,
            "names": known,
            "picked": [panel.name for panel in drawn],
        },
    )
