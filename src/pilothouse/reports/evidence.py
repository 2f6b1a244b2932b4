"""Evidence on disk and on screen: what a method claims, the bar set beforehand, and what was measured."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilothouse.core.cards import Card, Claim, Evidence, Verdict
from pilothouse.core.errors import RunError
from pilothouse.reports.claims import COLOURS
from pilothouse.reports.files import read_json, write_json

if TYPE_CHECKING:
    from rich.console import Console

_FIGURES = ("measured", "low", "high")


def write_evidence(evidence: Evidence, folder: Path) -> Path:
    """Write evidence as ``<method>-<scale>.json``, replacing an earlier one whole.

    Args:
        evidence: the outcome of a method's experiment.
        folder: where to; made when missing.

    Returns:
        The file's path.

    Raises:
        RunError: it cannot be written.
    """
    path = folder / f"{evidence.method}-{evidence.scale}.json"
    write_json(path, evidence.to_dict())
    return path


def read_evidence(path: Path) -> Evidence:
    """Return the evidence in a file that ``write_evidence`` made; a number that was not finite reads as NaN.

    Raises:
        RunError: the file is missing or holds no evidence.
    """
    table = read_json(path)
    try:
        claims = tuple(Claim(**{key: _number(key, value) for key, value in claim.items()}) for claim in table["claims"])
        return Evidence(**{**table, "claims": claims, "verdict": Verdict(table["verdict"])})
    except (TypeError, KeyError, ValueError, AttributeError) as error:
        raise RunError(f"{path} holds no evidence ({error}); make it with 'pilothouse reproduce'") from error


def print_evidence(evidence: Evidence, card: Card, console: Console) -> None:
    """Print what the paper claims, then each claim here beside its bar and what was measured, then the verdict.

    Args:
        evidence: the outcome of a method's experiment.
        card: the method's card, which quotes the paper.
        console: where to.
    """
    from rich.table import Table
    from rich.text import Text

    console.print(Text.assemble((f"{card.source}, {card.year}: ", "dim"), card.claim))
    table = Table(title=f"{evidence.method} at scale {evidence.scale}", title_style="bold", title_justify="left")
    table.add_column("claim", ratio=3)
    table.add_column("bar", ratio=2)
    table.add_column("measured", ratio=2)
    table.add_column("n", justify="right")
    table.add_column("")
    for claim in evidence.claims:
        mark = Text("reached", "green") if claim.passed else Text("missed", "red")
        statement = claim.statement + (f"\n({claim.note})" if claim.note else "")
        table.add_row(Text(statement), Text(claim.bar), Text(measured(claim)), str(claim.n), mark)
    console.print(table)
    levels = sorted({claim.level for claim in evidence.claims if claim.level})
    if levels:
        console.print(f"brackets: {', '.join(f'{100 * level:g} %' for level in levels)} intervals", style="dim")
    colour = COLOURS.get(evidence.verdict, "")
    console.print(Text.assemble("verdict ", (str(evidence.verdict), colour)))
    if evidence.command:
        console.print(f"repeat  {evidence.command}", markup=False, highlight=False, soft_wrap=True)


def measured(claim: Claim) -> str:
    """Return a claim's figure with unit and interval, such as ``"4.2 points [1.1, 7.3]"``.

    An unbounded end is "?"; a claim that nothing could be measured of has "none".
    """
    if math.isnan(claim.measured):
        return "none"
    figure = f"{claim.measured:.4g} {claim.unit}".rstrip()
    if not claim.level:
        return figure
    low, high = (f"{end:.4g}" if math.isfinite(end) else "?" for end in (claim.low, claim.high))
    return f"{figure} [{low}, {high}]"


def _number(name: str, value: Any) -> Any:
    return math.nan if value is None and name in _FIGURES else value
