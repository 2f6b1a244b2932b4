"""Claims with what was measured of them, and comparisons."""

from __future__ import annotations

from typing import Any

from pilothouse.core.cards import Evidence, Verdict
from pilothouse.core.errors import RunError
from pilothouse.dashboard.evidence import all_evidence
from pilothouse.dashboard.pages_files import figures_of
from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, View
from pilothouse.reports.comparison import header_of, legend, rows_of
from pilothouse.reports.comparison_file import Stored, read_comparison
from pilothouse.reports.run_list import Found


def claims_view(house: House, query: Query) -> View:
    """Return the table of claims, a block for each method's evidence."""
    everything = all_evidence(house)
    verdict = query.choice("verdict", [str(v) for v in Verdict])
    shown = [m for m in everything if m.evidence]
    counts = {str(v): sum(str(m.evidence.verdict) == str(v) for m in shown if m.evidence) for v in Verdict}
    if verdict:
        shown = [m for m in shown if m.evidence and str(m.evidence.verdict) == verdict]
    shown = [m for m in shown if m.evidence and query.found_in(_words(m.evidence))]
    shown.sort(key=lambda m: (m.evidence.method, m.evidence.scale) if m.evidence else ("", ""))
    return View(
        "claims.html",
        {
            "page": "claims",
            "title": "Claims",
            "query": query,
            "shown": shown,
            "all": len([m for m in everything if m.evidence]),
            "broken": [m for m in everything if m.fault],
            "counts": counts,
            "verdicts": [str(v) for v in Verdict],
            "chosen": {"q": query.text("q"), "verdict": verdict},
        },
    )


def evidence_view(house: House, name: str, query: Query) -> View:
    """Return the page of one piece of evidence in the folder of runs.

    Raises:
        RunError: there is none of that name.
    """
    found = house.folder.find(name, ("evidence",))
    measured = next((m for m in all_evidence(house) if m.found and m.found.name == name), None)
    folder = name.rpartition("/")[0]
    return View(
        "evidence.html",
        {
            "page": "claims",
            "title": found.path.stem,
            "query": query,
            "name": name,
            "measured": measured,
            "figures": figures_of(house.folder, found),
            "runs": [run for run in house.folder.summaries() if folder and run.name.startswith(f"{folder}/")],
        },
    )


def comparisons_view(house: House, query: Query) -> View:
    """Return the list of comparisons."""
    rows: list[dict[str, Any]] = []
    for found in house.folder.found("comparison"):
        stored, fault = _stored(house, found)
        changed = found.path.joinpath("comparison.json").stat().st_mtime
        rows.append({"name": found.name, "stored": stored, "fault": fault, "changed": changed})
    rows.sort(key=lambda row: -row["changed"])
    return View("comparisons.html", {"page": "comparisons", "title": "Comparisons", "query": query, "rows": rows})


def comparison_view(house: House, name: str, query: Query) -> View:
    """Return the page of a comparison: its table, its figures, its runs.

    Raises:
        RunError: there is no such comparison.
    """
    found = house.folder.find(name, ("comparison",))
    stored, fault = _stored(house, found)
    return View(
        "comparison.html",
        {
            "page": "comparisons",
            "title": name.rpartition("/")[2],
            "query": query,
            "name": name,
            "stored": stored,
            "fault": fault,
            "header": header_of(stored.comparison) if stored else [],
            "table": rows_of(stored.comparison) if stored else [],
            "legend": legend(stored.comparison) if stored else "",
            "figures": figures_of(house.folder, found),
            "report": house.folder.holds(found.path / "report.html") and (found.path / "report.html").is_file(),
            "runs": [run for run in house.folder.summaries() if run.name.startswith(f"{name}/")],
        },
    )


def _stored(house: House, found: Found) -> tuple[Stored | None, str]:
    try:
        return read_comparison(house.folder.file(found, "comparison.json")), ""
    except RunError as error:
        return None, house.folder.plain(str(error))


def _words(evidence: Evidence) -> str:
    claims = " ".join(f"{claim.statement} {claim.bar}" for claim in evidence.claims)
    return f"{evidence.method} {evidence.scale} {evidence.verdict} {claims}"
