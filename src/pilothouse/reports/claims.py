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
        state: what was done about it just now, in a word; "failed" if it was tried in vain.
        reason: why nothing was measured.
    """

    method: str
    evidence: Evidence | None
    state: str = ""
    reason: str = ""

    @property
    def verdict(self) -> str:
        """The verdict in words, whatever there is."""
        return str(self.evidence.verdict) if self.evidence else UNMEASURED

    @property
    def bars(self) -> str:
        """Bars reached, such as ``"4 of 5"``."""
        return f"{self.evidence.reached} of {len(self.evidence.claims)}" if self.evidence else ""

    @property
    def time(self) -> str:
        """Wall-clock time of the experiment, for reading."""
        return duration(self.evidence.seconds) if self.evidence else ""


def print_claims(rows: Iterable[Row], console: Console, *, title: str) -> None:
    """Print a line a method, then each reason why methods were left with their names.

    Args:
        rows: the methods; where they have states these stand in place of the dates.
        console: where to.
        title: the table's heading.
    """
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    acted = any(row.state for row in rows)
    table = Table(title=title, title_style="bold", title_justify="left", box=None, header_style="bold")
    for heading in ("method", "verdict", "bars", "time", "" if acted else "date"):
        table.add_column(heading, no_wrap=True)
    for row in rows:
        colour = COLOURS.get(row.evidence.verdict, "") if row.evidence else "dim"
        last = Text(row.state, "red" if row.state == "failed" else "") if acted else Text(_date(row))
        table.add_row(row.method, Text(row.verdict, colour), row.bars, row.time, last)
    console.print(table)
    for reason in dict.fromkeys(row.reason for row in rows if row.reason):
        told = ", ".join(row.method for row in rows if row.reason == reason)
        console.print(Text(f"{told}: {reason}"), soft_wrap=True)


def _date(row: Row) -> str:
    return row.evidence.date if row.evidence else ""
