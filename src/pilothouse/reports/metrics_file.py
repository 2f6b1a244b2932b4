"""The figures of a run by name, over its steps: read once, then only what was added."""

from __future__ import annotations

import json
import math
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pilothouse.core.errors import RunError

MOST_RUNS = 64  #: whose figures are kept in memory
MOST_NAMES = 500  #: figures of a run; a file with more is not one of ours


@dataclass
class Metrics:
    """What the steps of a run recorded.

    Args:
        steps: of each row.
        columns: figures by name, one a row; NaN where a row has none.
        faults: lines that are not JSON.
    """

    steps: list[float] = field(default_factory=list[float])
    columns: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    faults: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Add a row; what is not a number is left out."""
        count = len(self.steps)
        step = _number(row.get("step"))
        self.steps.append(count + 1.0 if math.isnan(step) else step)
        for name, value in row.items():
            if name == "step" or (value is not None and not _plain(value)):
                continue
            if name not in self.columns:
                if len(self.columns) == MOST_NAMES:
                    continue
                self.columns[name] = [math.nan] * count
            self.columns[name].append(_number(value))
        for values in self.columns.values():
            if len(values) == count:
                values.append(math.nan)

    def known(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Return steps and values of a figure where it is known."""
        steps, values = np.array(self.steps), np.array(self.columns.get(name, [math.nan] * len(self.steps)))
        there = np.isfinite(values) & np.isfinite(steps)
        return steps[there], values[there]

    def names(self) -> list[str]:
        """Return the figures that are known at some step, in the order they were met."""
        return [name for name, values in self.columns.items() if any(map(math.isfinite, values))]


@dataclass
class _Read:
    inode: int = -1
    size: int = 0
    metrics: Metrics = field(default_factory=Metrics)


class MetricsFiles:
    """Metrics files in memory, the most recently asked for; a file that grew is read on from where it was."""

    def __init__(self) -> None:
        self._read: OrderedDict[Path, _Read] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, path: Path) -> Metrics:
        """Return the figures of a ``metrics.jsonl``; a missing file has none, a half-written last line is left out.

        Raises:
            RunError: the file cannot be read.
        """
        with self._lock:
            held = self._read.pop(path, _Read())
            try:
                held = self._up_to_date(path, held)
            except OSError as error:
                raise RunError(f"cannot read {path.name}: {error.strerror or error}; make it readable") from error
            self._read[path] = held
            while len(self._read) > MOST_RUNS:
                self._read.popitem(last=False)
            return Metrics(
                list(held.metrics.steps), {k: list(v) for k, v in held.metrics.columns.items()}, held.metrics.faults
            )

    @staticmethod
    def _up_to_date(path: Path, held: _Read) -> _Read:
        if not path.exists():
            return _Read()
        found = path.stat()
        if found.st_ino != held.inode or found.st_size < held.size:  # a resumed run writes the file anew
            held = _Read(found.st_ino)
        with path.open("rb") as stream:
            stream.seek(held.size)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                held.size += len(line)
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if isinstance(row, dict):
                    held.metrics.add(row)
                else:
                    held.metrics.faults += 1
        return held


def _plain(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float:
    try:
        return float(value) if _plain(value) else math.nan
    except OverflowError:
        return math.nan
