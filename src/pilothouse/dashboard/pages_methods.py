"""The catalogue of methods, and each method's page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pilothouse.core.errors import nearest
from pilothouse.dashboard.evidence import all_evidence, evidence_of, verdicts
from pilothouse.dashboard.pages_run import settings
from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, NotHere, View
from pilothouse.reports.claims import UNMEASURED

if TYPE_CHECKING:
    from pilothouse.methods.base import Method

#: What methods do, by the name in the address.
USES = {
    "trains": "trains a language policy",
    "searches": "searches for answers",
    "acts": "learns to act",
    "measures": "measures or decides",
}


def uses_of(method: Method) -> list[str]:
    """Return what a method does."""
    from pilothouse.training.recipe import PolicyGradient

    found: list[str] = []
    if isinstance(method.recipe, PolicyGradient):
        found.append("trains")
    elif method.recipe is not None:
        found.append("acts")
    if method.search is not None:
        found.append("searches")
    return found or ["measures"]


def methods_view(house: House, query: Query) -> View:
    """Return the catalogue."""
    known = house.methods()
    found = verdicts(all_evidence(house))
    rows = [{"card": m.card, "uses": uses_of(m), "verdict": found.get(m.card.name, UNMEASURED)} for m in known.values()]
    family = query.choice("family", {m.card.family for m in known.values()})
    uses, verdict = query.choice("uses", USES), query.choice("verdict", {row["verdict"] for row in rows})
    shown = [
        row
        for row in rows
        if family in ("", row["card"].family)
        and (not uses or uses in row["uses"])
        and verdict in ("", row["verdict"])
        and query.found_in(" ".join(map(str, row["card"].to_dict().values())))
    ]
    return View(
        "methods.html",
        {
            "page": "methods",
            "title": "Methods",
            "query": query,
            "rows": shown,
            "all": len(rows),
            "families": sorted({m.card.family for m in known.values()}),
            "uses": USES,
            "verdicts": sorted({row["verdict"] for row in rows}),
            "chosen": {"q": query.text("q"), "family": family, "uses": uses, "verdict": verdict},
        },
    )


def method_view(house: House, name: str, query: Query) -> View:
    """Return a method's page: card, settings, claim and evidence, its runs.

    Raises:
        NotHere: nothing is called that.
    """
    known = house.methods()
    if name not in known:
        raise NotHere(f"there is no method '{name}'{nearest(name, known)}")
    method = known[name]
    runs = sorted((run for run in house.folder.summaries() if run.method == name), key=lambda run: -run.changed)
    recipe = method.recipe.model_dump(mode="json") if method.recipe else {}
    return View(
        "method.html",
        {
            "page": "methods",
            "title": name,
            "query": query,
            "card": method.card,
            "uses": [USES[use] for use in uses_of(method)],
            "settings": settings({key: value for key, value in recipe.items() if value is not None}),
            "evidence": evidence_of(house, name),
            "runs": runs[:20],
            "more": max(0, len(runs) - 20),
            "commands": _commands(method),
        },
    )


def _commands(method: Method) -> list[str]:
    name, found = method.card.name, [f"pilothouse methods {method.card.name}"]
    if method.recipe is not None:
        found.append(f"pilothouse train {name} --task TASK")
    if method.search is not None:
        found.append(f"pilothouse search {name} --task TASK --model RUN")
    return [*found, f"pilothouse reproduce {name}"]
