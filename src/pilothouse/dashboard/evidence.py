"""The evidence there is for the methods' claims: measured in this folder of runs, or published with the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import RunError
from pilothouse.dashboard.view import House
from pilothouse.methods.measuring import checkout_evidence
from pilothouse.reports.evidence import read_evidence
from pilothouse.reports.run_list import Found

#: Scales by how much they say.
_SCALES = ("gpu", "small", "smoke")


@dataclass(frozen=True)
class Measured:
    """What was measured of a claim, and where it lies.

    Args:
        evidence: the outcome; ``None`` when the file cannot be read.
        source: where it is from, for reading.
        found: its place in the folder of runs; ``None`` if it was published with the library.
        fault: why it cannot be read.
    """

    evidence: Evidence | None
    source: str
    found: Found | None = None
    fault: str = ""


def all_evidence(house: House) -> list[Measured]:
    """Return all evidence: what was measured here first, then what was published; each file once."""
    mine = [_measured(house, one) for one in house.folder.found("evidence")]
    have = {(m.evidence.method, m.evidence.scale) for m in mine if m.evidence}
    rest = [m for m in published() if m.evidence and (m.evidence.method, m.evidence.scale) not in have]
    return mine + rest


def evidence_of(house: House, method: str) -> list[Evidence]:
    """Return the evidence for a method, the one that says most first."""
    mine = [m.evidence for m in all_evidence(house) if m.evidence and m.evidence.method == method]
    return sorted(mine, key=_rank)


def verdicts(everything: Sequence[Measured]) -> dict[str, str]:
    """Return by method the verdict of the evidence that says most."""
    best: dict[str, Evidence] = {}
    for measured in everything:
        found = measured.evidence
        if found and (found.method not in best or _rank(found) < _rank(best[found.method])):
            best[found.method] = found
    return {name: str(found.verdict) for name, found in best.items()}


def published() -> list[Measured]:
    """Return the evidence that lies in a checkout of the library; an installed copy has none."""
    folder = checkout_evidence()
    if folder is None:
        return []
    paths = sorted(folder.glob("*-small.json")) + sorted(folder.glob("*-gpu.json"))
    read = [_read(path, path.stat().st_mtime_ns) for path in paths]
    return [Measured(found, "published with Pilothouse") for found in read if isinstance(found, Evidence)]


def _measured(house: House, found: Found) -> Measured:
    read = _read(found.path, found.path.stat().st_mtime_ns)
    if isinstance(read, Evidence):
        return Measured(read, found.name, found)
    return Measured(None, found.name, found, house.folder.plain(read))


@lru_cache(maxsize=512)
def _read(path: Path, changed: int) -> Evidence | str:
    """Return the evidence in a file as it was when it last changed, or why there is none."""
    try:
        found = read_evidence(path)
    except RunError as error:
        return str(error)
    return found if _sound(found) else f"{path} holds no evidence of this version; make it again"


def _sound(found: Evidence) -> bool:
    """Whether what a file was read into is what the pages expect: nobody has checked a file of another version."""
    words = [found.method, found.scale, found.command]
    words += [text for claim in found.claims for text in (claim.statement, claim.bar, claim.unit, claim.note)]
    ends = [end for claim in found.claims for end in (claim.measured, claim.low, claim.high, claim.level, claim.n)]
    return all(isinstance(word, str) for word in words) and all(
        isinstance(number, int | float) and not isinstance(number, bool) for number in [found.seconds, *ends]
    )


def _rank(found: Evidence) -> int:
    return _SCALES.index(found.scale) if found.scale in _SCALES else len(_SCALES)
