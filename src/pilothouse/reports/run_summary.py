"""A run in a line: what it is, how far it is, what came of it; whatever its files hold, and whoever wrote them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import PilothouseError
from pilothouse.reports.files import read_json
from pilothouse.reports.row_file import last_row, sampled_rows
from pilothouse.reports.runs import RunStore

QUIET_S = 90.0  #: a run that wrote nothing for so long, or for ten of its steps, has stopped
FILES = ("config.toml", "metrics.jsonl", "result.json")
_CURVES = ("accuracy", "reward", "held_out", "loss")


class Status(StrEnum):
    """Where a run is."""

    TRAINING = "training"
    FINISHED = "finished"
    STOPPED = "stopped"
    DAMAGED = "damaged"


@dataclass(frozen=True)
class Figure:
    """A figure with its interval.

    Args:
        value: the estimate.
        low: lower end; NaN without an interval.
        high: upper end; NaN without an interval.
        unit: "accuracy", "success" or "return".
    """

    value: float
    low: float = math.nan
    high: float = math.nan
    unit: str = "accuracy"


@dataclass(frozen=True)
class RunSummary:
    """What there is to say of a run in a line.

    Args:
        name: its folder, relative to the folder of all runs, with "/" between the parts.
        method: its method.
        task: its task.
        seed: its seed, as written.
        finished: whether its result is final.
        steps: steps done.
        wanted: steps it is to take at most; 0 if nobody said.
        share: how much of what it may spend is spent, 0 to 1; NaN if nobody said.
        last: figures of the newest step.
        before: what the policy did before training; ``None`` if it was not measured.
        after: what it did afterwards.
        gain: the difference, in pairs.
        tokens: tokens that sampling computed; NaN if it samples none.
        seconds: seconds of its steps; NaN if unknown.
        begun: when its configuration was written, in seconds since the epoch.
        changed: when it last wrote anything.
        pace: seconds a step takes, as far as is known.
        curve: name and values of a small picture.
        faults: what cannot be read, a sentence each.
    """

    name: str
    method: str = ""
    task: str = ""
    seed: str = ""
    finished: bool = False
    steps: int = 0
    wanted: int = 0
    share: float = math.nan
    last: Mapping[str, float] | None = None
    before: Figure | None = None
    after: Figure | None = None
    gain: Figure | None = None
    tokens: float = math.nan
    seconds: float = math.nan
    begun: float = 0.0
    changed: float = 0.0
    pace: float = 0.0
    curve: tuple[str, tuple[float, ...]] = ("", ())
    faults: tuple[str, ...] = ()

    @property
    def status(self) -> Status:
        """Where it is now: training is what wrote something not long ago."""
        if not self.method and self.faults:
            return Status.DAMAGED
        if self.finished:
            return Status.FINISHED
        quiet = time.time() - self.changed
        return Status.TRAINING if quiet < max(QUIET_S, 10 * self.pace) else Status.STOPPED

    def metric(self, name: str) -> float:
        """Return a figure of the newest step; NaN if there is none."""
        return (self.last or {}).get(name, math.nan)


def summarise(path: Path, name: str) -> RunSummary:
    """Return a run's summary; what cannot be read is one of its faults.

    Args:
        path: its folder.
        name: what to call it.
    """
    faults: list[str] = []
    config = tolerant(faults, RunStore(path).read_config)
    result = tolerant(faults, lambda: read_json(path / "result.json") if (path / "result.json").exists() else {})
    last = tolerant(faults, lambda: last_row(path / "metrics.jsonl"))
    rows = tolerant(faults, lambda: {"rows": sampled_rows(path / "metrics.jsonl")}).get("rows", [])
    training = table(config.get("training"))
    before, after = outcome(table(result.get("before"))), outcome(table(result.get("after")))
    figures = {key: number(value) for key, value in last.items()}
    tokens = number(table(result.get("cost")).get("tokens_computed", last.get("tokens_computed")))
    steps = number(last.get("step", result.get("steps", 0)))
    wanted = number(training.get("steps", 0))
    stamps = [found.stat().st_mtime for file in FILES if (found := path / file).exists()]
    return RunSummary(
        name=name,
        method=text(config.get("method") or config.get("search")),
        task=title(config.get("task")),
        seed=text(config.get("seed", "")),
        finished=result.get("finished") is True,
        steps=int(steps) if math.isfinite(steps) else 0,
        wanted=int(wanted) if math.isfinite(wanted) else 0,
        share=_share(training, steps, wanted, tokens),
        last=figures,
        before=before,
        after=after or outcome(table(result.get("evaluation"))),
        gain=_figure(table(table(result.get("gain")).get("sampled")), "estimate"),
        tokens=tokens,
        seconds=_seconds(result, rows),
        begun=stamps[0] if stamps else 0.0,
        changed=max(stamps, default=0.0),
        pace=figures.get("seconds", 0.0) if math.isfinite(figures.get("seconds", 0.0)) else 0.0,
        curve=_curve(rows),
        faults=tuple(faults),
    )


def outcome(found: Mapping[str, Any]) -> Figure | None:
    """Return the headline of a measurement: accuracy of sampled answers, success, or the return."""
    sampled = _figure(table(found.get("sampled")), "accuracy")
    return (
        sampled
        or _figure(table(found.get("success")), "estimate", "success")
        or _figure(table(found.get("return")), "estimate", "return")
    )


def table(value: Any) -> Mapping[str, Any]:
    """Return a table, or an empty one if it is none."""
    return value if isinstance(value, Mapping) else {}


def tables(value: Any) -> list[Mapping[str, Any]]:
    """Return the tables in a list; none if it is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def number(value: Any) -> float:
    """Return a number, or NaN if it is none."""
    try:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:
        return math.nan


def text(value: Any) -> str:
    """Return a short value as text; ``None`` and tables are empty."""
    return "" if value is None or isinstance(value, Mapping | list) else str(value)


def title(value: Any) -> str:
    """Return what to call a part: its name, or its environment's."""
    found = table(value)
    return text(found.get("id") or found.get("name")) if found else text(value)


def tolerant(faults: list[str], read: Callable[[], Any]) -> Mapping[str, Any]:
    """Return the table that is read, or an empty one and one fault more.

    Args:
        faults: what could not be read, a sentence each; added to.
        read: reads.
    """
    try:
        return table(read())
    except PilothouseError as error:
        faults.append(str(error))
        return {}
    except OSError as error:
        faults.append(f"cannot read {error.filename}: {error.strerror}")
        return {}


def _figure(found: Mapping[str, Any], key: str, unit: str = "accuracy") -> Figure | None:
    value = number(found.get(key))
    if math.isnan(value):
        return None
    return Figure(value, number(found.get("low")), number(found.get("high")), unit)


def _share(training: Mapping[str, Any], steps: float, wanted: float, tokens: float) -> float:
    budget = training.get("budget")
    if isinstance(budget, str) and budget:
        try:
            return min(1.0, tokens / Budget.parse(budget).amount)
        except (PilothouseError, ZeroDivisionError):
            return math.nan
    return min(1.0, max(0.0, steps / wanted)) if wanted > 0 else math.nan


def _seconds(result: Mapping[str, Any], rows: list[dict[str, Any]]) -> float:
    """Seconds of a finished run as it counted them; of another, as its steps suggest."""
    phases = [number(value) for value in table(result.get("seconds")).values()]
    if phases:
        return math.fsum(value for value in phases if math.isfinite(value))
    steps = [number(row.get("seconds")) for row in rows]
    known = [value for value in steps if math.isfinite(value)]
    last = number(rows[-1].get("step")) if rows else math.nan
    return sum(known) / len(known) * last if known else math.nan


def _curve(rows: list[dict[str, Any]], points: int = 40) -> tuple[str, tuple[float, ...]]:
    for name in _CURVES:
        values = [value for row in rows if math.isfinite(value := number(row.get(name)))]
        if len(values) > 1:
            size = min(points, len(values))
            bins = [values[i * len(values) // size : (i + 1) * len(values) // size] for i in range(size)]
            return name, tuple(sum(part) / len(part) for part in bins)
    return "", ()
