"""``pilothouse gate``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pilothouse.cli.app import Json, app, emit, line
from pilothouse.core.errors import ConfigError

GATE_EXAMPLES = """Examples:

  Decide every row of a table, and see how that fared where it has labels:
    pilothouse gate chances.csv --c-fa 1 --c-fn 3 --out decisions.csv
  Calibrate first, with rows set aside, and let a slow estimate decide close cases:
    pilothouse gate chances.parquet --calibrate held-out.parquet \\
      --slow-need slow_need --slow-acc slow_acc --delta 0.1 --out decisions.parquet
  Costs that differ by row, and a sweep over others:
    pilothouse gate chances.csv --c-fa cost_of_noise --sweep 1:1,1:3,3:1
"""


@app.command(help_epilogue=GATE_EXAMPLES)
def gate(
    table: Path,
    /,
    *,
    out: Path | None = None,
    c_fa: str = "1",
    c_fn: str = "3",
    p_need: str = "p_need",
    p_acc: str = "p_acc",
    y_need: str = "",
    y_acc: str = "",
    slow_need: str = "",
    slow_acc: str = "",
    delta: float = 0.1,
    calibrate: Path | None = None,
    sweep: str = "",
    figure: Path | None = None,
    as_json: Json = False,
) -> None:
    """Decide by two costs whether to speak, over a CSV or Parquet table of chances.

    Speaks where p_acc >= C_FA / (C_FA + p_need C_FN). With labels it tells what the decisions cost, how many offers
    were false alarms, and whether the chances mean what they say.

    Args:
        table: CSV or Parquet file with a row an event.
        out: File for the rows with their decisions; the audit goes beside it, as NAME.audit.jsonl.
        c_fa: Cost of an offer that is not accepted: a number, or the name of a column.
        c_fn: Cost of silence where an offer was needed and would have been accepted: a number, or a column.
        p_need: Column with the chance that help is needed.
        p_acc: Column with the chance that an offer is accepted.
        y_need: Column that tells whether help was needed, 0 or 1; by default y_need, where it is there.
        y_acc: Column that tells whether the offer was or would have been accepted; empty cells are not known.
        slow_need: Column with a better estimate of need, for close cases.
        slow_acc: Column with a better estimate of acceptance, for close cases.
        delta: How close, in probability.
        calibrate: Table of the same columns with labels, which temperatures are fitted to.
        sweep: Costs to try, such as 1:1,1:3,3:1.
        figure: PNG for the reliability diagram.
        as_json: Print the figures as one JSON document on standard output.
    """
    from pilothouse.methods.gating import Gating, gate_table

    columns = (p_need, p_acc, y_need, y_acc, slow_need, slow_acc)
    found = gate_table(Gating(table, out, c_fa, c_fn, *columns, delta, calibrate, _grid(sweep), figure))
    if as_json:
        emit(found)
    else:
        _print(found)


def _grid(text: str) -> tuple[tuple[float, float], ...]:
    try:
        pairs = [tuple(map(float, pair.split(":"))) for pair in text.split(",")] if text else []
        return tuple((fa, fn) for fa, fn in pairs)
    except ValueError:
        raise ConfigError(f"cannot read the costs '{text}'; write them as --sweep 1:1,1:3,3:1") from None


def _print(found: dict[str, Any]) -> None:
    line(f"{found['rows']} events: speaks on {found['offers']:.1%}, asks slowly about {found['slow_share']:.1%}")
    if found["slow_failed"]:
        line(f"{found['slow_failed']} slow estimates are missing: the fast ones decided")
    for name, temperature in found.get("temperatures", {}).items():
        line(f"temperature of {name}: {temperature:.3f}")
    if "labelled" in found:
        line(
            f"cost {found['cost']:.4f} an event (always {found['always']:.4f}, never {found['never']:.4f}) over "
            f"{found['labelled']} labelled events"
        )
        line(
            f"false alarms {found['false_alarm']:.1%} of offers, recall {found['recall']:.1%}, F1 {found['f1']:.1%}, "
            f"AUDBC {found['audbc']:.3f}"
        )
        for name in ("need", "accept"):
            line(f"{name}: ECE {found[name]['ece']:.4f}, Brier {found[name]['brier']:.4f}")
    for row in found.get("sweep", []):
        line(
            f"costs {row['c_fa']:g}:{row['c_fn']:g}: cost {row['cost']:.4f} (always {row['always']:.4f}, never "
            f"{row['never']:.4f}), offers {row['offers']:.1%}, false alarms {row['false_alarm']:.1%}"
        )
    for name in ("out", "audit", "figure"):
        if name in found:
            line(f"{name} {found[name]}")
