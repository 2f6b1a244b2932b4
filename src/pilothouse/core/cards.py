"""What a method says of itself, and how its claim fares here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Card:
    """A method's catalogue card.

    Args:
        name: the method's name on the command line.
        title: one line: what it does.
        paper: title of the publication.
        source: where to find it, such as an arXiv number.
        year: year of publication.
        family: the wing of the library it belongs to ("credit", "programs", "control", "decisions").
        formula: the heart of it, in a line or two.
        settings: where the defaults come from.
        departures: where this implementation departs from the paper, and why.
        claim: what the paper claims.
        when: when to use it, and when not.
    """

    name: str
    title: str
    paper: str
    source: str
    year: int
    family: str
    formula: str
    settings: str
    departures: str
    claim: str
    when: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the card for JSON."""
        return asdict(self)


class Verdict(StrEnum):
    """How a claim fared."""

    REPRODUCED = "reproduced"
    PARTLY = "partly reproduced"
    NOT = "not reproduced"
    SMOKE = "smoke run, no verdict"  #: too small to judge: it only proves that the experiment runs


@dataclass(frozen=True)
class Claim:
    """One measurable statement and what was measured.

    Args:
        statement: what should hold.
        bar: the threshold, with its unit, fixed before measuring.
        measured: the figure as measured here.
        low: lower end of its interval.
        high: upper end of its interval.
        level: the interval's level, such as 0.95; 0 when the figure is exact.
        passed: whether the bar was reached.
        unit: the figure's unit.
        n: number of independent units behind it (seeds, batches, problems).
        note: what was seen, in a sentence.
    """

    statement: str
    bar: str
    measured: float
    low: float
    high: float
    level: float
    passed: bool
    unit: str
    n: int
    note: str = ""


@dataclass(frozen=True)
class Evidence:
    """The outcome of a method's ``reproduce``: its claims and the figures behind them.

    Args:
        method: the method's name.
        scale: "smoke", "small" or "gpu".
        claims: each claim as measured.
        verdict: over all claims.
        tables: JSON-ready raw figures.
        seconds: wall-clock seconds it took.
        command: the command that repeats it.
        figure: path of the figure, relative to the output folder.
        date: day it was measured, such as "2026-11-27"; empty where it was not recorded, as in the next two.
        machine: class of the machine: cores, architecture, accelerator.
        versions: of Pilothouse, Python and the packages that compute, by name.
    """

    method: str
    scale: str
    claims: tuple[Claim, ...]
    verdict: Verdict
    tables: Mapping[str, Any] = field(default_factory=dict[str, Any])
    seconds: float = 0.0
    command: str = ""
    figure: str = ""
    date: str = ""
    machine: str = ""
    versions: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def reached(self) -> int:
        """How many of the claims reached their bars."""
        return sum(claim.passed for claim in self.claims)

    def to_dict(self) -> dict[str, Any]:
        """Return the evidence for JSON."""
        return {**asdict(self), "verdict": str(self.verdict)}

    @staticmethod
    def of(
        method: str, scale: str, claims: tuple[Claim, ...], tables: Mapping[str, Any], figure: str, seconds: float
    ) -> Evidence:
        """Return the outcome of a method's ``reproduce``, with the verdict and the command that follow from it."""
        command = f"pilothouse reproduce {method} --scale {scale}"
        return Evidence(method, scale, claims, Evidence.judge(claims, scale), tables, seconds, command, figure)

    @staticmethod
    def judge(claims: tuple[Claim, ...], scale: str) -> Verdict:
        """Return the verdict that follows from the claims; a smoke run never has one."""
        if scale == "smoke":
            return Verdict.SMOKE
        passed = sum(claim.passed for claim in claims)
        if passed == len(claims):
            return Verdict.REPRODUCED
        return Verdict.PARTLY if passed else Verdict.NOT
