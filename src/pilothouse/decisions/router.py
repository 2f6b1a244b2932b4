"""Thinking twice only where it matters: a slow estimate for events whose fast one lands near the gate's threshold."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from pilothouse.core.errors import PilothouseError
from pilothouse.decisions.arrays import InputError, probabilities, same_length, vector
from pilothouse.decisions.audit import AuditLog
from pilothouse.decisions.gate import CostGate

#: Anything that gives [n] chances of need and [n] chances of acceptance for n events.
Estimate: TypeAlias = Callable[[Any], tuple[Any, Any]]

#: What a slow estimate may fail with; the events then keep their fast estimate. A timeout is an OSError.
FAILURES: tuple[type[Exception], ...] = (PilothouseError, ValueError, LookupError, OSError, RuntimeError)


@dataclass(frozen=True)
class Routed:
    """What became of n events.

    Args:
        gate: decided with.
        fast: [n] need and [n] acceptance as estimated fast.
        slow: [n] and [n] as estimated slowly; NaN where that was not asked for or failed.
        asked: [n] events that were handed to the slow estimate.
        failed: [n] events whose slow estimate failed, so that the fast one was kept.
        seconds: [n] wall-clock seconds spent on an event: its share of the calls it was in.
    """

    gate: CostGate
    fast: tuple[np.ndarray, np.ndarray]
    slow: tuple[np.ndarray, np.ndarray]
    asked: np.ndarray
    failed: np.ndarray
    seconds: np.ndarray

    @property
    def p_need(self) -> np.ndarray:
        """[n] chances of need that decide."""
        return np.where(self.asked & ~self.failed, self.slow[0], self.fast[0])

    @property
    def p_acc(self) -> np.ndarray:
        """[n] chances of acceptance that decide."""
        return np.where(self.asked & ~self.failed, self.slow[1], self.fast[1])

    @property
    def tau(self) -> np.ndarray:
        """[n] thresholds."""
        return self.gate.tau(self.p_need)

    @property
    def utility(self) -> np.ndarray:
        """[n] expected gain of speaking, in cost units: the margin of the decision."""
        return self.gate.expected_utility(self.p_need, self.p_acc)

    @property
    def speak(self) -> np.ndarray:
        """[n] decisions."""
        return self.gate.decide(self.p_need, self.p_acc)


class MarginRouter:
    """Estimates fast, and once more slowly where ``|p_acc - tau(p_need)| <= delta``; then the gate decides.

    delta is a distance in probability, not in cost: 0 asks only on ties, 1 always. An event is handed to the slow
    estimate at most once. Where that raises one of ``failures`` or gives NaN, the event keeps its fast estimate and is
    flagged as failed.

    Args:
        fast: ``X -> (p_need, p_acc)``, each [n].
        slow: the same, better and dearer; called with the events near the threshold. ``None`` asks nobody.
        gate: decides.
        delta: distance from the threshold within which the slow estimate is asked.
        batch: events in one call of ``slow``, which is how many a failure concerns; ``None`` hands over all at once.
        failures: what ``slow`` may fail with.
        audit: where every decision is written down.

    Raises:
        InputError: delta is negative or NaN, or batch is not positive.

    Source: PRISM, arXiv 2602.01532.
    """

    def __init__(
        self,
        fast: Estimate,
        slow: Estimate | None,
        gate: CostGate,
        delta: float = 0.1,
        *,
        batch: int | None = None,
        failures: tuple[type[Exception], ...] = FAILURES,
        audit: AuditLog | None = None,
    ) -> None:
        if not delta >= 0:
            raise InputError(f"delta is {delta}: it is a distance in probability, at least 0")
        if batch is not None and batch < 1:
            raise InputError(f"batch counts from 1, not {batch}")
        self.fast, self.slow, self.gate, self.delta = fast, slow, gate, delta
        self.batch, self.failures, self.audit = batch, failures, audit

    def __call__(self, X: Any) -> Routed:
        """Return what became of events.

        Args:
            X: n events, in any form that ``fast`` and ``slow`` read and that rows can be taken from.

        Raises:
            InputError: an estimate has another length than was asked for, or is no probability; the rows are named.
        """
        X = indexable(X)
        size = events(X)
        started = time.perf_counter()
        fast = _estimated(self.fast(X), size, "fast")
        seconds = np.full(size, (time.perf_counter() - started) / max(size, 1))
        near = np.abs(self.gate.margin(*fast)) <= self.delta
        asked = near & (self.slow is not None)
        slow = (np.full(size, np.nan), np.full(size, np.nan))
        places = np.flatnonzero(asked)
        for start in range(0, len(places), self.batch or len(places) or 1):
            here = places[start : start + (self.batch or len(places))]
            started = time.perf_counter()
            slow[0][here], slow[1][here] = self._slowly(take(X, here), len(here))
            seconds[here] += (time.perf_counter() - started) / len(here)
        found = Routed(self.gate, fast, slow, asked, asked & np.isnan(slow[0] + slow[1]), seconds)
        if self.audit is not None:
            self.audit.add(found)
        return found

    def _slowly(self, X: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
        assert self.slow is not None
        try:
            answer = self.slow(X)
        except self.failures:
            return np.full(size, np.nan), np.full(size, np.nan)
        return _estimated(answer, size, "slow", missing=True)


def indexable(X: Any) -> Any:
    """Return events as they are where rows can be taken from them; sparse matrices by row, anything else as numpy."""
    if hasattr(X, "tocsr"):
        return X.tocsr()
    return X if hasattr(X, "__getitem__") else np.asarray(X)


def events(X: Any) -> int:
    """Return how many events there are: rows of an array or table, items of a list."""
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def take(X: Any, places: np.ndarray) -> Any:
    """Return some of the events, in the form they came in.

    Args:
        X: n events: an array, a sparse matrix, a pandas table or Series, a tensor or a list.
        places: which.
    """
    if hasattr(X, "iloc"):
        return X.iloc[places]
    return X[places] if hasattr(X, "shape") else [X[at] for at in places]


def _estimated(answer: Any, size: int, who: str, *, missing: bool = False) -> tuple[np.ndarray, np.ndarray]:
    try:
        need, acc = answer
    except (TypeError, ValueError):
        raise InputError(f"the {who} estimate must return two columns, (p_need, p_acc), one figure an event") from None
    found: list[np.ndarray] = []
    for name, values in (("p_need", need), ("p_acc", acc)):
        name = f"{name} of the {who} estimate"
        column = vector(values, name, missing=missing) if missing else probabilities(values, name)
        probabilities(np.where(np.isnan(column), 0.0, column), name)
        same_length({"X": np.empty(size), name: column})
        found.append(column)
    return found[0], found[1]
