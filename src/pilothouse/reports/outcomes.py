"""What a finished run is worth to a comparison: figures, costs and samples, under the names its own kind gives them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.reports.statistics import Interval


@dataclass(frozen=True)
class Metric:
    """A figure's name, and how it is written.

    Args:
        name: with its unit, unless it is a share.
        share: whether it lies between 0 and 1 and is written in percent.
    """

    name: str
    share: bool = False

    def text(self, value: float) -> str:
        """Return a value as text."""
        if self.share:
            return f"{100 * value:.1f} %"
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"

    def interval(self, found: Interval, sign: bool = False) -> str:
        """Return an estimate with its ends, such as ``"57.3 % [52.0, 62.4]"``; an unbounded end is a question mark.

        Args:
            found: the estimate.
            sign: it is a difference: always write the sign, and a share's in points.
        """
        if self.share:
            return found.percent(sign).replace(" %", "") if sign else found.percent()
        texts = [
            ("+" if sign and end >= 0 else "") + self.text(end) if math.isfinite(end) else "?"
            for end in (found.estimate, found.low, found.high)
        ]
        return f"{texts[0]} [{texts[1]}, {texts[2]}]"


@dataclass(frozen=True)
class Measured:
    """What a finished run came to.

    Args:
        figures: after training, on what it was not trained on; methods are compared by the first, the more the better.
        costs: what that took; the first is the axis of the curve.
        curve: (cost, value of the first figure) for each measurement, in order; the last is that after training.
        note: how the figures were measured, a sentence.
        samples: texts of what it did.
        picture: a PNG of what it did.
    """

    figures: Mapping[Metric, float]
    costs: Mapping[Metric, float]
    curve: Sequence[tuple[float, float]]
    note: str
    samples: Sequence[str] = ()
    picture: Path | None = None

    @property
    def metric(self) -> Metric:
        """What methods are compared by."""
        return next(iter(self.figures))

    @property
    def value(self) -> float:
        """Its value."""
        return self.figures[self.metric]


@dataclass(frozen=True)
class Outcome:
    """One run of a comparison.

    Args:
        method: what the comparison calls the method, with its settings if it has any of its own.
        task: the task's title.
        seed: the run's.
        folder: keeps the run.
        config: its configuration, with the versions it ran on.
        measured: what it came to.
    """

    method: str
    task: str
    seed: int
    folder: Path
    config: Mapping[str, Any]
    measured: Measured

    def to_dict(self) -> dict[str, Any]:
        """Return what ``comparison.json`` keeps of it."""
        found = self.measured
        return {
            "method": self.method,
            "task": self.task,
            "seed": self.seed,
            "folder": str(self.folder),
            "figures": {metric.name: value for metric, value in found.figures.items()},
            "costs": {metric.name: value for metric, value in found.costs.items()},
            "curve": found.curve,
        }
