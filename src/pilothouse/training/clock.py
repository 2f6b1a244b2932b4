"""Seconds by phase, so that every run says where its time went."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class Clock:
    """Adds up wall-clock seconds by the name of the phase they were spent in."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Count the seconds of the block towards ``phase``."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - started

    def lap(self, since: dict[str, float]) -> dict[str, float]:
        """Return the seconds by phase since an earlier copy of ``seconds``."""
        return {phase: total - since.get(phase, 0.0) for phase, total in self.seconds.items()}
