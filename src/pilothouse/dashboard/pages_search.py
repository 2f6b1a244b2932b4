"""Searches: what each reached at its budgets, and the tree of every problem."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from pilothouse.dashboard.pages_files import figures_of
from pilothouse.dashboard.pages_run import settings
from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, View
from pilothouse.reports.ancestry import ancestry_svg
from pilothouse.reports.row_file import RowFile
from pilothouse.reports.run_list import Found
from pilothouse.reports.run_summary import number, table, tables, text, title, tolerant
from pilothouse.reports.trees import chosen_path, tree_svg

SIZE = 50
MOST_ROUNDS = 200


def searches_view(house: House, query: Query) -> View:
    """Return the list of searches."""
    rows: list[dict[str, Any]] = []
    for found in house.folder.found("search"):
        config, result, faults = _read(house, found)
        stamp = (found.path / "traces.jsonl").stat().st_mtime
        rows.append(
            {
                "name": found.name,
                "method": text(config.get("search")),
                "task": title(config.get("task")),
                "program": text(table(config.get("program")).get("name")),
                "budgets": _budgets(result),
                "faults": faults,
                "changed": stamp,
            }
        )
    rows.sort(key=lambda row: -row["changed"])
    return View("searches.html", {"page": "searches", "title": "Searches", "query": query, "rows": rows})


def search_view(house: House, name: str, query: Query) -> View:
    """Return the page of a search: figures at each budget, its problems, its pictures.

    Raises:
        RunError: there is no such search.
    """
    found = house.folder.find(name, ("search",))
    config, result, faults = _read(house, found)
    page = RowFile(house.folder.file(found, "traces.jsonl")).page(query.integer("at", 0), most=SIZE)
    return View(
        "search.html",
        {
            "page": "searches",
            "title": name.rpartition("/")[2],
            "query": query,
            "name": name,
            "config": config,
            "task": title(config.get("task")),
            "budgets": _budgets(result),
            "rows": page.rows,
            "after": page.after,
            "begun": query.integer("at", 0),
            "faults": faults + ([f"{page.faults} damaged lines are left out"] if page.faults else []),
            "figures": figures_of(house.folder, found),
            "settings": settings(config),
            "versions": table(config.get("versions")),
        },
    )


def trace_view(house: House, name: str, query: Query) -> View:
    """Return one problem's search: its tree, the way to the answer, and a particle filter's ancestry.

    Raises:
        RunError: there is no such search, or no trace begins there.
    """
    found = house.folder.find(name, ("search",))
    rows = RowFile(house.folder.file(found, "traces.jsonl"))
    at = query.integer("at", 0)
    row = rows.row(at)
    here = rows.page(at, most=1)
    before = rows.before(at)
    trace = table(row.get("trace"))
    tree, path, ancestry, fault = drawn(trace, text(row.get("prompt")), text(row.get("answer")))
    return View(
        "trace.html",
        {
            "page": "searches",
            "title": "Trace",
            "query": query,
            "name": name,
            "row": row,
            "cost": table(row.get("cost")),
            "at": at,
            "before": before[0] if before else None,
            "after": here.after,
            "kind": text(trace.get("kind")),
            "tree": tree,
            "path": path,
            "ancestry": ancestry,
            "fault": fault,
            "rounds": [_round(one) for one in tables(trace.get("rounds"))[:MOST_ROUNDS]],
            "notes": [str(note) for note in trace.get("notes", [])] if isinstance(trace.get("notes"), list) else [],
        },
    )


def drawn(trace: Mapping[str, Any], prompt: str, answer: str) -> tuple[Markup, list[str], Markup, str]:
    """Return tree, chosen path and ancestry of a trace, and what is wrong with it, if anything is.

    Args:
        trace: as it was stored, by whatever version.
        prompt: the problem.
        answer: what the search answered.
    """
    nothing = Markup("")
    nodes = trace.get("nodes")
    if not isinstance(nodes, list) or not nodes:
        return nothing, [], nothing, "" if not trace else "this trace holds no steps"
    if not _is_tree(nodes):
        return nothing, [], nothing, "the steps of this trace are not a tree: it is damaged, or of another version"
    rounds = tables(trace.get("rounds"))
    # both write their text escaped, and nothing but shapes
    return Markup(tree_svg(trace, prompt=prompt, answer=answer)), chosen_path(trace), Markup(ancestry_svg(rounds)), ""


def _is_tree(nodes: list[Any]) -> bool:
    """Whether steps are numbered as they come and each continues an earlier one."""
    for place, node in enumerate(nodes):
        if not isinstance(node, Mapping) or node.get("id") != place or "state" not in node or "text" not in node:
            return False
        parent = node.get("parent", -1)
        if parent is None if place else parent is not None:
            return False
        if place and not (isinstance(parent, int) and 0 <= parent < place):
            return False
        if not 0 <= number(node.get("copies") or node.get("visits") or 1) < math.inf:
            return False
    return True


def _round(found: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """The single figures of a round; its lists are what the picture shows."""
    return [(key, value) for key, value in found.items() if not isinstance(value, list | Mapping)]


def _budgets(result: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [{**row, "per_problem": table(row.get("per_problem"))} for row in tables(result.get("budgets"))]


def _read(house: House, found: Found) -> tuple[Mapping[str, Any], Mapping[str, Any], list[str]]:
    """Configuration and result of a search, and what cannot be read of them."""
    faults: list[str] = []
    config = tolerant(faults, lambda: house.config(found))
    result = tolerant(faults, lambda: house.result(found))
    return config, result, [house.folder.plain(fault) for fault in faults]
