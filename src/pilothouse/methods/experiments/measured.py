"""What the experiments' claims have in common."""

from __future__ import annotations

from pilothouse.core.cards import Claim
from pilothouse.reports.statistics import Interval


def claim(statement: str, bar: str, measured: Interval, passed: bool, unit: str, note: str = "") -> Claim:
    """Return a claim with the figure and interval that were measured.

    Args:
        statement: what should hold.
        bar: the threshold, fixed before measuring.
        measured: the figure.
        passed: whether the bar was reached.
        unit: the figure's unit.
        note: what was seen.
    """
    return Claim(
        statement=statement,
        bar=bar,
        measured=measured.estimate,
        low=measured.low,
        high=measured.high,
        level=measured.level,
        passed=passed,
        unit=unit,
        n=measured.n,
        note=note,
    )
