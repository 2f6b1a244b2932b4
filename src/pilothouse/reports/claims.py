"""Many methods' claims in one table: verdict, bars reached, time, date; why a method has none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pilothouse.core.cards import Evidence, Verdict
from pilothouse.reports.progress import duration

if TYPE_CHECKING:
    from rich.console import Console

#: How verdicts are coloured.
COLOURS = {Verdict.REPRODUCED: "green", Verdict.PARTLY: "yellow", Verdict.NOT: "red"}
UNMEASURED = "not measured"


@dataclass(frozen=True)
class Row:
    """One method in the table.

    Args:
        method: its name.
        evidence: what was measured; ``None`` if nothing was.
        note: what else to say, such as why nothing was.
        failed: whether it was tried and failed.
    """

    method: str
    evidence: Evidence | None
    note: str = ""
    failed: bool = False

    @property
    def verdict(self) -> str:
        """The verdict in words, whatever there is."""
        return str(self.evidence.verdict) if self.evidence else "failed" if self.failed else UNMEASURED

    @property
    def bars(self) -> str:
        """Bars reached, such as ``"4 of 5"``."""
        return f"{self.evidence.reached} of {len(self.evidence.claims)}" if self.evidence else ""

    @property
    def time(self) -> str:
        """Wall-clock time of the experiment, for reading."""
        return duration(self.evidence.seconds) if self.evidence else ""


def print_claims(rows: Iterable[Row], console: Console, *, title: str) -> None:
    """Print a line a method.

    Args:
        rows: the methods.
        console: where to.
        title: the table's heading.
    """
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_style="bold", title_justify="left", box=None, header_style="bold")
    for heading in ("method", "verdict", "bars", "time", "date"):
        table.add_column(heading, no_wrap=True)
    rows = list(rows)
    noted = any(row.note for row in rows)
    if noted:
        table.add_column("")
    for row in rows:
        colour = COLOURS.get(row.evidence.verdict, "") if row.evidence else "red" if row.failed else "dim"
        day = row.evidence.date if row.evidence else ""
        cells = [row.method, Text(row.verdict, colour), row.bars, row.time, day]
        table.add_row(*cells, *([Text(row.note)] if noted else []))
    console.print(table)
