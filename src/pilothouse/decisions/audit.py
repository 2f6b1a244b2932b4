"""A record of every decision of a gate: what it knew, what it would have cost, what it did."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from pilothouse.core import gates

if TYPE_CHECKING:
    from pilothouse.decisions.router import Routed

#: A record: t, p_fast and p_slow (each [need, acceptance], or None), tau, costs ([C_FA, C_FN]), margin (expected gain
#: of speaking, in cost units), decision, failed (the slow estimate did not come), latency (seconds).
Record = dict[str, Any]


class Lines(Protocol):
    """Anything that text is written to."""

    def write(self, text: str, /) -> Any:
        """Take a piece of text."""
        ...


class AuditLog:
    """Keeps a record of every decision, in memory or as JSON lines in a stream.

    Args:
        stream: where records go, a line each; without one they are kept in ``records``.
    """

    def __init__(self, stream: Lines | None = None) -> None:
        self.stream = stream
        self.records: list[Record] = []
        self.count = 0  #: decisions recorded so far

    def add(self, routed: Routed) -> None:
        """Record the decisions on n events, in order.

        Args:
            routed: what became of them.
        """
        for record in records(routed, self.count):
            self.count += 1
            if self.stream is None:
                self.records.append(record)
            else:
                self.stream.write(json.dumps(record, allow_nan=False) + "\n")


def records(routed: Routed, start: int = 0) -> Iterable[Record]:
    """Yield the record of each event.

    Args:
        routed: what became of the events.
        start: the number of the first.
    """
    size = len(routed.asked)
    costs = [np.broadcast_to(cost, size).tolist() for cost in routed.gate.costs()]
    (fast_need, fast_acc), (slow_need, slow_acc) = routed.fast, routed.slow
    tau, utility, speak = routed.tau.tolist(), routed.utility.tolist(), routed.speak.tolist()
    for at in range(size):
        pair = [float(slow_need[at]), float(slow_acc[at])]
        yield {
            "t": start + at,
            "p_fast": [float(fast_need[at]), float(fast_acc[at])],
            "p_slow": None if any(map(math.isnan, pair)) else pair,
            "tau": tau[at],
            "costs": [costs[0][at], costs[1][at]],
            "margin": utility[at],
            "decision": "speak" if speak[at] else "silent",
            "failed": bool(routed.failed[at]),
            "latency": float(routed.seconds[at]),
        }


def faults(found: Iterable[Mapping[str, Any]]) -> list[int]:
    """Return the numbers ``t`` of records whose decision does not follow from the probabilities and costs beside it.

    Args:
        found: records, as read back from wherever they were kept.
    """
    wrong: list[int] = []
    for record in found:
        need, acc = record["p_slow"] or record["p_fast"]
        speaks = acc >= gates.threshold(need, *record["costs"])
        if speaks != (record["decision"] == "speak"):
            wrong.append(int(record["t"]))
    return wrong
