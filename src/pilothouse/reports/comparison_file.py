"""A stored comparison read back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pilothouse.core.errors import RunError
from pilothouse.reports.comparison import Comparison, Standing
from pilothouse.reports.files import read_json
from pilothouse.reports.statistics import Interval


@dataclass(frozen=True)
class Stored:
    """A comparison as it was written.

    Args:
        comparison: the figures.
        command: what made it.
    """

    comparison: Comparison
    command: str


def read_comparison(path: Path) -> Stored:
    """Return the comparison in a ``comparison.json``; what a later version added to it is left out.

    Raises:
        RunError: the file is missing, or holds no comparison.
    """
    found = read_json(path)
    try:
        standings = tuple(_standing(row) for row in found["standings"])
        by_task = {t: {m: _interval(i) for m, i in row.items()} for t, row in found.get("by_task", {}).items()}
        comparison = Comparison(tuple(found["tasks"]), tuple(found["seeds"]), str(found["budget"]), standings, by_task)
        return Stored(comparison, str(found.get("command", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} holds no comparison of this version ({error}); make it again") from error


def _standing(row: Mapping[str, Any]) -> Standing:
    known: dict[str, Any] = {item.name: row[item.name] for item in fields(Standing)}
    for name, value in known.items():
        known[name] = _interval(value) if isinstance(value, Mapping) else float("nan") if value is None else value
    return Standing(**known)


def _interval(found: Mapping[str, Any]) -> Interval:
    low, high = found.get("low"), found.get("high")
    ends = (float("-inf") if low is None else low, float("inf") if high is None else high)
    estimate = float("nan") if found["estimate"] is None else found["estimate"]
    return Interval(float(estimate), *ends, float(found["level"]), int(found["n"]))
