"""Deciding over a table: chances from CSV or Parquet, decisions and their audit, and how they fared."""

from __future__ import annotations

import codecs
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pilothouse.core.errors import ConfigError
from pilothouse.decisions.arrays import InputError, binary, positive, probabilities, vector
from pilothouse.decisions.audit import AuditLog
from pilothouse.decisions.calibration import calibration, reliability
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.router import MarginRouter, Routed
from pilothouse.decisions.sweep import audbc, fared, gate_sweep
from pilothouse.decisions.tables import column, read_table, table_kind, write_table
from pilothouse.reports.files import replacing
from pilothouse.reports.reliability import reliability_figure

Pair = tuple[np.ndarray, np.ndarray]

#: The columns that decisions are written to.
WRITTEN = ("tau", "utility", "speak", "asked_slowly", "slow_failed")


@dataclass(frozen=True)
class Gating:
    """What to decide over.

    Args:
        table: the file of chances.
        out: where decisions go, a file of either kind; ``None`` writes nothing.
        c_fa: cost of an offer that is not accepted: a number, or the name of a column.
        c_fn: cost of silence where an offer was needed and would have been accepted: a number, or a column.
        need: column of the chance of need.
        acc: column of the chance of acceptance.
        y_need: column of the label of need; empty takes "y_need" where it is there.
        y_acc: column of the label of acceptance; empty takes "y_acc" where it is there. A missing label is not known.
        slow_need: column of the slow estimate of need; empty for none.
        slow_acc: column of the slow estimate of acceptance; empty for none.
        delta: distance from the threshold within which the slow estimate decides.
        calibrate: a table with the same columns and labels that temperatures are fitted to; ``None`` for none.
        sweep: pairs of costs to try.
        figure: where the reliability diagram goes, a ``.png``; ``None`` draws none.
    """

    table: Path
    out: Path | None = None
    c_fa: str = "1"
    c_fn: str = "3"
    need: str = "p_need"
    acc: str = "p_acc"
    y_need: str = ""
    y_acc: str = ""
    slow_need: str = ""
    slow_acc: str = ""
    delta: float = 0.1
    calibrate: Path | None = None
    sweep: tuple[tuple[float, float], ...] = ()
    figure: Path | None = None


def gate_table(what: Gating) -> dict[str, Any]:
    """Decide every row and return the figures, JSON-ready.

    Raises:
        ConfigError: settings do not go together, or the packages that read tables are not installed.
        InputError: a column is not there, or holds something else than it must; the rows are named.
        DataError: a file cannot be read.
        RunError: a file cannot be written.
    """
    if bool(what.slow_need) != bool(what.slow_acc):
        raise ConfigError("a slow estimate has two columns: give both --slow-need and --slow-acc, or neither")
    kind = table_kind(what.out) if what.out else ""
    table = read_table(what.table)
    fast = _chances(table, what.need, what.acc)
    slow = _chances(table, what.slow_need, what.slow_acc, missing=True) if what.slow_need else None
    found: dict[str, Any] = {"rows": len(table)}
    labels = _labels(table, what)
    if what.figure is not None and labels is None:
        raise ConfigError("a reliability diagram needs labels: give --y-need and --y-acc")
    if what.calibrate is not None:
        try:
            fast, slow, found["temperatures"] = _calibrated(what, fast, slow)
        except InputError as error:
            raise InputError(f"the calibration set '{what.calibrate}': {error}") from None
    gate = CostGate(_cost(table, what.c_fa, "c_fa"), _cost(table, what.c_fn, "c_fn"))
    routed = _route(gate, fast, slow, what.delta)
    found |= {"offers": float(routed.speak.mean()), "slow_share": float(routed.asked.mean())}
    found["slow_failed"] = int(routed.failed.sum())
    if labels is not None:
        found |= _figures(routed, labels, what)
    if what.out is not None:
        columns = (routed.tau, routed.utility, routed.speak, routed.asked, routed.failed)
        written = table.assign(**dict(zip(WRITTEN, columns, strict=True)))
        if what.calibrate is not None:
            written = written.assign(calibrated_need=routed.p_need, calibrated_acc=routed.p_acc)
        with replacing(what.out) as stream:
            write_table(written, stream, kind)
        audit = what.out.with_suffix(".audit.jsonl")
        with replacing(audit) as stream:
            AuditLog(codecs.getwriter("utf-8")(stream)).add(routed)
        found |= {"out": str(what.out), "audit": str(audit)}
    return found


def _route(gate: CostGate, fast: Pair, slow: Pair | None, delta: float) -> Routed:
    """Route rows by number, as both estimates are there already."""

    def told(pair: Pair) -> Any:
        return lambda at: (pair[0][at], pair[1][at])

    router = MarginRouter(told(fast), None if slow is None else told(slow), gate, delta)
    return router(np.arange(len(fast[0])))


def _figures(routed: Routed, labels: Pair, what: Gating) -> dict[str, Any]:
    """Return how decisions and chances fared on the rows whose labels are known."""
    known = ~np.isnan(labels[0] + labels[1])
    if not known.any():
        raise ConfigError("no row has both labels: there is nothing to measure on; leave the label columns out")
    y_need, y_acc = labels[0][known], labels[1][known]
    need, acc, speak = routed.p_need[known], routed.p_acc[known], routed.speak[known]
    fa, fn = (cost if len(cost) == 1 else cost[known] for cost in routed.gate.costs())
    gate, n = CostGate(fa, fn), int(known.sum())
    found: dict[str, Any] = {"labelled": n, **asdict(fared(speak, y_need, y_acc, gate))}
    for name, decision in (("always", np.ones(n)), ("never", np.zeros(n))):
        found[name] = float(gate.realised(decision, y_need, y_acc).mean())
    found["audbc"] = audbc(need, acc, y_need, y_acc)
    for name, p, y in (("need", need, y_need), ("accept", acc, y_acc)):
        found[name] = asdict(calibration(p, y))
    if what.sweep:
        found["sweep"] = gate_sweep(need, acc, y_need, y_acc, what.sweep)
    if what.figure is not None:
        curves = {"need": reliability(need, y_need).points(), "acceptance": reliability(acc, y_acc).points()}
        title = what.table.stem
        found["figure"] = str(reliability_figure(curves, what.figure.with_suffix(""), title=title))
    return found


def _calibrated(what: Gating, fast: Pair, slow: Pair | None) -> tuple[Pair, Pair | None, dict[str, float]]:
    from pilothouse.decisions.temperature import TemperatureScaler

    assert what.calibrate is not None
    table = read_table(what.calibrate)
    labels = _labels(table, what)
    if labels is None:
        raise ConfigError(f"'{what.calibrate}' has no labels to calibrate with: it needs columns y_need and y_acc")
    temperatures: dict[str, float] = {}

    def scaled(names: tuple[str, str], pair: Pair, which: str) -> Pair:
        seen = _chances(table, *names, missing=which == "slow")
        done: list[np.ndarray] = []
        for kind, p, y, target in zip(("need", "accept"), seen, labels, pair, strict=True):
            known = ~np.isnan(p + y)
            scaler = TemperatureScaler().fit(p[known], y[known])
            temperatures[f"{which} {kind}"] = float(scaler.temperature_[0])
            there = ~np.isnan(target)
            out = np.full(len(target), np.nan)
            out[there] = scaler.transform(target[there])
            done.append(out)
        return done[0], done[1]

    fast = scaled((what.need, what.acc), fast, "fast")
    if slow is not None:
        slow = scaled((what.slow_need, what.slow_acc), slow, "slow")
    return fast, slow, temperatures


def _chances(table: Any, need: str, acc: str, *, missing: bool = False) -> Pair:
    found: list[np.ndarray] = []
    for name in (need, acc):
        values = vector(column(table, name), name, missing=missing)
        probabilities(np.where(np.isnan(values), 0.0, values), name)
        found.append(values)
    return found[0], found[1]


def _labels(table: Any, what: Gating) -> Pair | None:
    if not (what.y_need or what.y_acc) and not {"y_need", "y_acc"} <= set(table.columns):
        return None
    names = (what.y_need or "y_need", what.y_acc or "y_acc")
    need, acc = (binary(column(table, name), name, missing=True) for name in names)
    return need, acc


def _cost(table: Any, given: str, name: str) -> Any:
    """Return a cost: a number, or a column's figure a row."""
    try:
        return positive(float(given), name)
    except ValueError as error:
        if str(error).startswith("could not convert"):
            return positive(column(table, given), given)
        raise
