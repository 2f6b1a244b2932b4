"""Tables for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilothouse.reports.progress import duration
from pilothouse.reports.statistics import Interval

if TYPE_CHECKING:
    from rich.console import Console


def print_result(result: Mapping[str, Any], run_path: Path, console: Console) -> None:
    """Print a run's closing tables: accuracy before and after with the paired gain, cost, and where everything lies.

    Args:
        result: what ``result.json`` holds; a run that is not finished has only the figures of before.
        run_path: the run's folder.
        console: where to.
    """
    if result.get("kind") in ("actions", "offline"):
        print_actions(result, run_path, console)
        return
    from rich.table import Table

    before, after, gains = (result.get(key) or {} for key in ("before", "after", "gain"))
    table = Table(title="held-out accuracy", title_style="bold", title_justify="left")
    table.add_column("decoding")
    for heading in ("before", "after", "gain (points)"):
        table.add_column(heading, justify="right")
    for kind in before:
        table.add_row(
            kind,
            _accuracy(before[kind]),
            _accuracy(after.get(kind)),
            _gain(gains.get(kind)),
        )
    console.print(table)
    for entry in list(before.values())[:1]:
        caption = f"{entry['problems']:,} problems; in brackets {100 * entry['level']:g} % intervals; gain in pairs"
        console.print(caption, style="dim", highlight=False)
    if cost := result.get("cost"):
        _print_cost(cost, result.get("seconds") or {}, console)
    if figure := result.get("figure"):
        console.print(f"figure  {run_path / figure}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"run     {run_path}", markup=False, highlight=False, soft_wrap=True)


def print_actions(result: Mapping[str, Any], run_path: Path, console: Console) -> None:
    """Print how a policy acted at a run's end, what an action cost, and where everything lies.

    Args:
        result: what ``result.json`` holds.
        run_path: the run's folder.
        console: where to.
    """
    from rich.table import Table

    if found := result.get("evaluation"):
        table = Table(
            title=f"{found['episodes']} episodes", title_style="bold", title_justify="left", show_header=False
        )
        table.add_column()
        table.add_column(justify="right")
        for row in action_rows(found):
            table.add_row(*row)
        console.print(table)
        console.print("in brackets 95 % intervals", style="dim", highlight=False)
        _print_cost({}, result.get("seconds") or {}, console)
    for name in ("figure", "picture"):
        if result.get(name):
            console.print(f"{name:<7} {run_path / result[name]}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"run     {run_path}", markup=False, highlight=False, soft_wrap=True)


def action_rows(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what was measured of a policy that acts, a name and a figure each.

    Args:
        found: an evaluation as a dictionary.
    """
    rows = [("success", _interval(found["success"], "estimate").percent())] if found.get("success") else []
    for name, title in (("return", "return"), ("best_reward", "highest reward")):
        if name in found:  # runs of earlier versions lack some
            value = _interval(found[name], "estimate")
            rows.append((title, f"{value.estimate:.4g} [{value.low:.4g}, {value.high:.4g}]"))
    rows += [
        ("steps of an episode", f"{found['length']:.1f}"),
        ("change between two actions", f"{found['jerk']:.3g}"),
    ]
    if "sampler" in found:
        rows.append(("sampler", f"{one_name(found['sampler'])}, {found['execute']} actions of each plan"))
    rows += [
        ("network calls a plan", f"{found['calls_per_plan']:.3g}"),
        ("network calls an action", f"{found['calls_per_action']:.3g}"),
    ]
    return rows


def one_name(part: Any) -> str:
    """Return the name of a part that is given by name or as a table."""
    return str(part["name"] if isinstance(part, Mapping) else part)


def print_ablation(table: Mapping[str, Any], console: Console) -> None:
    """Print what each value of a switch did, the base first.

    Args:
        table: an ablation as a dictionary.
        console: where to.
    """
    from rich.table import Table

    title = f"{table['method']} on {table['task']}: {table['switch']}, {table['steps']} steps, {table['seeds']} seeds"
    shown = Table(title=title, title_style="bold", title_justify="left")
    shown.add_column(table["switch"])
    headings = ["accuracy", "against base (points)", "length", "entropy", "tokens"]
    several = table["samples"] > 1
    headings += [f"distinct of {table['samples']}"] if several else []
    for heading in headings:
        shown.add_column(heading, justify="right")
    for row in table["rows"]:
        gain = "base" if row["base"] else Interval(**row["difference"]).percent(sign=True).replace(" %", "")
        cells = [row["value"], Interval(**row["accuracy"]).percent(), gain]
        cells += [f"{row['length']:.1f}", f"{row['entropy']:.3f}", f"{row['tokens']:,.0f}"]
        shown.add_row(*cells, *([f"{row['distinct']:.2f}"] if several else []))
    console.print(shown)
    console.print("after training, sampled; in brackets 95 % intervals over seeds", style="dim", highlight=False)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]], *, padded: bool = True) -> str:
    """Return a Markdown table, padded so that its source reads well; columns of numbers are set to the right.

    Args:
        header: names of the columns.
        rows: cells, as many as there are columns.
        padded: otherwise cells are as wide as they are, for tables with sentences in them.

    Raises:
        ValueError: a row has another number of cells than the header.
    """
    cells = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in row] for row in [header, *rows]]
    if any(len(row) != len(header) for row in cells):
        raise ValueError(f"every row needs {len(header)} cells, one for each column")
    columns = list(zip(*cells, strict=True))
    widths = [max(3, *map(len, column)) if padded else 3 for column in columns]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(header))]
    rule = ["-" * (w - 1) + ":" if r else "-" * w for w, r in zip(widths, right, strict=True)]
    lines = [[c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)] for row in cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in [lines[0], rule, *lines[1:]])


def _print_cost(cost: Mapping[str, float], seconds: Mapping[str, float], console: Console) -> None:
    from rich.table import Table

    table = Table(title="cost", title_style="bold", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    for name in ("sampled", "computed", "reused"):
        if amount := cost.get(f"tokens_{name}"):
            table.add_row(f"training tokens {name}", f"{amount:,.0f}", "")
    table.add_section()
    total = sum(seconds.values())
    for phase, spent in sorted(seconds.items(), key=lambda item: -item[1]):
        table.add_row(phase, _time(spent), f"{100 * spent / total:.0f} %" if total else "")
    table.add_section()
    table.add_row("all phases", _time(total), "")
    console.print(table)


def _time(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _accuracy(entry: Mapping[str, Any] | None) -> str:
    if entry is None:
        return "-"
    return _interval(entry, "accuracy").percent()


def _gain(entry: Mapping[str, Any] | None) -> str:
    return "-" if entry is None else _interval(entry, "estimate").percent(sign=True).replace(" %", "")


def _interval(entry: Mapping[str, Any], estimate: str) -> Interval:
    ends = [math.nan if entry[name] is None else float(entry[name]) for name in (estimate, "low", "high")]
    return Interval(*ends, level=entry["level"], n=0)
