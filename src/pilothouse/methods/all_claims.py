"""Every method's claim under one budget of time: the cheapest first, what is measured kept, what fails told.

Each experiment runs in a process of its own, so that one that crashes or runs out of memory costs only itself.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from pilothouse import __version__
from pilothouse.core.budgets import TimeBudget
from pilothouse.core.cards import Evidence
from pilothouse.core.errors import PilothouseError, RunError
from pilothouse.methods.apart import OutOfTime
from pilothouse.methods.base import Method
from pilothouse.methods.measuring import (
    check_scale,
    checkout_evidence,
    claim_folder,
    gather,
    set_aside,
)
from pilothouse.reports.cells import kept_seconds
from pilothouse.reports.evidence import read_evidence
from pilothouse.reports.progress import Progress, duration

#: Runs an experiment (method's name, scale, folder, progress) within so many seconds (``None``: as many as it takes).
Apart: TypeAlias = Callable[[str, str, Path, Progress, float | None], None]


@dataclass(frozen=True)
class Outcome:
    """What came of one method.

    Args:
        method: its name.
        state: "kept" (measured before), "measured", "failed" or "left".
        evidence: what was measured; ``None`` if it failed or was left.
        reason: why there is none.
    """

    method: str
    state: str
    evidence: Evidence | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON, without the raw figures."""
        found = self.evidence.to_dict() if self.evidence else {}
        return {"method": self.method, "state": self.state, "reason": self.reason, **found, "tables": None}


@dataclass(frozen=True)
class AllClaims:
    """The claims of many methods, measured one after the other.

    Args:
        methods: by name.
        scale: of every experiment.
        out: keeps a folder for each of them.
        budget: all of them together; ``None`` for no limit.
        apart: runs one of them.
    """

    methods: Mapping[str, Method]
    scale: str
    out: Path
    budget: TimeBudget | None
    apart: Apart

    def run(self, progress: Progress, outcomes: list[Outcome], *, fresh: bool = False) -> None:
        """Measure what is not measured yet, from the cheapest on.

        Args:
            progress: shows what happens.
            outcomes: receives what came of each method as soon as it is known, so that an interrupt loses nothing.
            fresh: measure again what is measured; what was there is set aside.

        Raises:
            ConfigError: there is no such scale.
            KeyboardInterrupt: the user stopped it; calling it again continues.
        """
        check_scale(self.scale)
        expected = self.expected()
        if fresh:
            for name in self.methods:
                set_aside(claim_folder(self.out, name, self.scale))
        known = self.known()
        for name in self.methods:
            if name in known:
                outcomes.append(Outcome(name, "kept", known[name]))
        if known:
            progress.say(f"measured before and kept, --fresh repeats: {', '.join(known)}")
        waiting = order([name for name in self.methods if name not in known], expected)
        purse = _Purse(self.budget)
        for number, name in enumerate(waiting, 1):
            cost, left = self._cost(name, expected), purse.left()
            if reason := _left_why(cost, left):
                outcomes.append(Outcome(name, "left", reason=reason))
                continue
            told = "" if cost is None else f", about {duration(cost)}"
            progress.phase(f"{number} of {len(waiting)}: {name}{told}")
            outcomes.append(self._one(name, left, progress))
            if outcomes[-1].reason:
                progress.warn(f"{name}: {outcomes[-1].reason}")

    def known(self) -> dict[str, Evidence]:
        """Return what this version has measured in the folder at this scale."""
        found = self._stored(self.out, self.scale)
        return {name: one for name, one in found.items() if one.versions.get("pilothouse") == __version__}

    def expected(self) -> dict[str, float]:
        """Return the seconds that stored evidence names, by method: what the library was published with, then yours."""
        published, yours = self._stored(checkout_evidence(), "small"), self._stored(self.out, "small")
        return {name: found.seconds for name, found in (published | yours).items()}

    def _stored(self, folder: Path | None, scale: str) -> dict[str, Evidence]:
        """The evidence in a folder; files that hold none count as none."""
        found: dict[str, Evidence] = {}
        for name in self.methods:
            with suppress(RunError):
                found |= gather({name: self.methods[name]}, scale, folder)
        return found

    def _cost(self, name: str, expected: Mapping[str, float]) -> float | None:
        """Seconds that an experiment still needs, less what is finished of it; ``None`` where nothing is known."""
        if self.scale != "small" or name not in expected:
            return None
        return max(0.0, expected[name] - kept_seconds(claim_folder(self.out, name, self.scale)))

    def _one(self, name: str, left: float | None, progress: Progress) -> Outcome:
        folder = claim_folder(self.out, name, self.scale)
        limit = left if self.budget and self.budget.of == "clock" else None
        try:
            self.apart(name, self.scale, folder, progress, limit)
            return Outcome(name, "measured", read_evidence(folder / f"{name}-{self.scale}.json"))
        except OutOfTime as error:
            return Outcome(name, "left", reason=str(error))
        except PilothouseError as error:
            return Outcome(name, "failed", reason=str(error))


def order(names: list[str], seconds: Mapping[str, float]) -> list[str]:
    """Return methods from the cheapest to the dearest, then those of which no cost is known, by name."""
    return sorted(names, key=lambda name: (name not in seconds, seconds.get(name, 0.0), name))


def _left_why(cost: float | None, left: float | None) -> str:
    """Why an experiment is not begun with so many seconds of the budget left; "" if it is."""
    if left is None:
        return ""
    if left <= 0:
        return "the budget is spent"
    if cost is not None and cost > left:
        return f"takes about {duration(cost)}, the budget has {duration(left)} left"
    return ""


class _Purse:
    """What is left of a budget since it was made."""

    def __init__(self, budget: TimeBudget | None) -> None:
        self._budget, self._start = budget, self._now(budget)

    def left(self) -> float | None:
        """Seconds, ``None`` for no limit."""
        if self._budget is None:
            return None
        return self._budget.seconds - (self._now(self._budget) - self._start)

    @staticmethod
    def _now(budget: TimeBudget | None) -> float:
        if budget is None or budget.of == "clock":
            return time.monotonic()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)  # children that have ended
        return used.ru_utime + used.ru_stime
