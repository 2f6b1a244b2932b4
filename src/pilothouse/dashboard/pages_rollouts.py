"""Rollouts: those of a step, or of a problem through the steps, and one token by token."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from pilothouse.dashboard.colours import MODES, Mode, painted
from pilothouse.dashboard.query import Query
from pilothouse.dashboard.view import House, NotHere, View, paged
from pilothouse.reports.rollout_tokens import tokens_of
from pilothouse.reports.row_file import Row, RowFile, step_of
from pilothouse.reports.run_summary import number

VERDICTS = ("right", "wrong", "unjudged")
SIZE, MOST = 50, 4096  #: rows a page, rows of a step that are looked at
MOST_SIBLINGS = 64  #: responses of a group that are listed
MOST_TOKENS = 6000  #: coloured in a page
_LOOK = 48 * 2**20  #: bytes searched for a problem at a time


def rollouts_view(house: House, name: str, query: Query) -> View:
    """Return the rollouts of a run: of one step, or of one problem.

    Raises:
        RunError: there is no such run, or its file cannot be read.
    """
    found = house.folder.find(name, ("run",))
    rows = RowFile(house.folder.file(found, "rollouts.jsonl"))
    steps = rows.steps()
    context: dict[str, Any] = {
        "page": "runs",
        "title": "Rollouts",
        "query": query,
        "name": name,
        "steps": steps,
        "verdicts": VERDICTS,
        "chosen": {key: query.text(key) for key in ("verdict", "least", "most", "group", "problem")},
        "filters": filters(query),
    }
    if steps is None:
        return View("rollouts.html", context | {"list": None})
    if query.text("problem"):
        return View("rollouts.html", context | _of_problem(rows, query))
    return View("rollouts.html", context | _of_step(rows, query, steps))


def _of_step(rows: RowFile, query: Query, steps: tuple[int, int]) -> dict[str, Any]:
    step = query.integer("step", steps[1], *steps)
    start = rows.seek(step)
    read = rows.page(start, most=MOST, until=lambda line: (step_of(line) or 0) > step)
    groups = sorted({group for _, row in read.rows if isinstance(group := row.get("group"), int)})
    keep = _keeper(query)
    return {
        "step": step,
        "groups": groups,
        "list": paged([pair for pair in read.rows if keep(pair[1])], query.integer("page", 1, 1), SIZE),
        "faults": read.faults,
        "more": read.after is not None,
    }


def _of_problem(rows: RowFile, query: Query) -> dict[str, Any]:
    """Rollouts of one problem, a stretch of the file at a time."""
    problem, keep = query.text("problem"), _keeper(query)
    marks = tuple(json.dumps(problem, ensure_ascii=plain).encode(errors="replace") for plain in (False, True))
    at = query.integer("at", 0)
    read = rows.page(
        at, most=SIZE, keep=lambda row: str(row.get("problem")) == problem and keep(row), contains=marks, budget=_LOOK
    )
    return {"list": paged(read.rows, 1, SIZE), "after": read.after, "faults": read.faults, "groups": [], "more": False}


def filters(query: Query) -> dict[str, str]:
    """Return the filters of the list, which a rollout's page hands on."""
    names = ("verdict", "least", "most", "group", "problem")
    return {name: value for name in names if (value := query.text(name))}


def _keeper(query: Query) -> Callable[[Row], bool]:
    verdict = query.choice("verdict", VERDICTS)
    least, most = query.number("least"), query.number("most")
    group = query.text("group")

    def keep(row: Row) -> bool:
        reward, correct = number(row.get("reward")), row.get("correct")
        if verdict == "right" and correct is not True:
            return False
        if verdict == "wrong" and correct is not False:
            return False
        if verdict == "unjudged" and math.isfinite(reward):
            return False
        if (least is not None and not reward >= least) or (most is not None and not reward <= most):
            return False
        return not group or str(row.get("group")) == group

    return keep


def rollout_view(house: House, name: str, query: Query) -> View:
    """Return one rollout, token by token.

    Raises:
        NotHere: there is no rollout at that place.
        RunError: there is no such run, or its file cannot be read.
    """
    found = house.folder.find(name, ("run",))
    rows = RowFile(house.folder.file(found, "rollouts.jsonl"))
    if rows.steps() is None:
        raise NotHere(f"run '{name}' has recorded no rollouts")
    at = query.integer("at", 0)
    row, problem = rows.row(at), query.text("problem")
    own = _keeper(query)
    keep = (lambda r: own(r) and str(r.get("problem")) == problem) if problem else own
    here = rows.page(at, most=1)
    after = rows.page(here.after, most=1, keep=keep, budget=_LOOK).rows if here.after is not None else []
    before = rows.before(at, keep)
    tokens = tokens_of(row)
    mode = MODES[query.choice("show", MODES, "advantage")]
    return View(
        "rollout.html",
        {
            "page": "runs",
            "title": f"Rollout of step {row.get('step', '?')}",
            "query": query,
            "name": name,
            "row": row,
            "at": at,
            "before": before[0] if before else None,
            "after": after[0][0] if after else None,
            "filters": filters(query),
            "siblings": _siblings(rows, row),
            "modes": MODES,
            "mode": mode,
            "tokens": painted(tokens[:MOST_TOKENS], mode),
            "hidden": max(0, len(tokens) - MOST_TOKENS),
            "legend": mode.legend(tokens),
            "missing": _missing(mode, row, tokens),
            "spelled": not tokens or any(token.text for token in tokens) or not row.get("response"),
        },
    )


def _siblings(rows: RowFile, row: Row) -> list[tuple[int, Row]]:
    """The responses of a rollout's group, in the order they were recorded."""
    step, group = row.get("step"), row.get("group")
    if not isinstance(step, int) or group is None:
        return []
    return rows.page(
        rows.seek(step),
        most=MOST_SIBLINGS,
        keep=lambda other: other.get("group") == group,
        until=lambda line: (step_of(line) or 0) > step,
    ).rows


def _missing(mode: Mode, row: Row, tokens: tuple[Any, ...]) -> str:
    """Why there is nothing to colour, if so."""
    if not tokens:
        return "This run recorded text alone; --training.record tokens adds what is known of every token."
    if mode.name == "mask" or any(math.isfinite(mode.value(token)) for token in tokens):
        return ""
    if mode.name == "gap":
        return "No gap was recorded: this response trained nothing, or an earlier version made the run."
    return f"Nothing was recorded of its {mode.title.lower()}."
