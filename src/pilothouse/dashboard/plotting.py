"""The pieces of small SVG pictures: scales, round numbers, axes, lines and bands."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from pilothouse.dashboard.words import metric

WIDTH, HEIGHT = 340, 168
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 8, 22

Scale: TypeAlias = Callable[[np.ndarray | float], np.ndarray]


@dataclass(frozen=True)
class Frame:
    """Where values lie in a picture.

    Args:
        steps: first and last step.
        values: least and greatest value.
    """

    steps: tuple[float, float]
    values: tuple[float, float]

    @property
    def x(self) -> Scale:
        """From steps to places."""
        return scale(*self.steps, LEFT, WIDTH - RIGHT)

    @property
    def y(self) -> Scale:
        """From values to places; the greatest is on top."""
        return scale(*self.values, HEIGHT - BOTTOM, TOP)

    def axes(self, name: str) -> str:
        """Return grid lines with their values, written as the figure called ``name`` is, and steps."""
        lines: list[str] = []
        for tick in ticks(*self.values, 4):
            at = float(self.y(tick))
            lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
            said = _written(name, tick)
            lines.append(f'<text class="tick" x="{LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{said}</text>')
        for tick in ticks(*self.steps, 5):
            at = float(self.x(tick))
            if tick.is_integer():
                end = "end" if at > WIDTH - 30 else "middle"
                place = min(at, WIDTH - 4.0) if end == "end" else at
                lines.append(f'<text class="tick" x="{place:.1f}" y="{HEIGHT - 6}" text-anchor="{end}">{tick:g}</text>')
        return "".join(lines)


def frame(steps: np.ndarray, values: np.ndarray) -> Frame:
    """Return the frame around steps [n] and values [m], with a little room above and below."""
    low, high = float(values.min()), float(values.max())
    room = 0.06 * (high - low) or (abs(high) * 0.1 or 1.0)
    # a share or a count that touches nothing does not dip below it
    low, high = 0.0 if 0 <= low < room else low - room, 1.0 if low >= 0 and 1 - room < high <= 1 else high + room
    first, last = float(steps.min()), float(steps.max())
    return Frame((first if last > first else min(0.0, first), last), (low, high))


def scale(low: float, high: float, start: float, stop: float) -> Scale:
    """Return the map that takes ``low`` to ``start`` and ``high`` to ``stop``."""
    spread = high - low or 1.0
    return lambda values: start + (np.asarray(values, dtype=float) - low) / spread * (stop - start)


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return round numbers within a range, about ``most`` of them."""
    spread = high - low
    if not (math.isfinite(spread) and spread > 0):
        return [low]
    size = 10.0 ** math.floor(math.log10(spread / most))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if spread / (size * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)][: most + 1]


def line(x: np.ndarray, y: np.ndarray) -> str:
    """Return the path through points."""
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def band(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Return an interval around a curve: an area, and a bar at every point."""
    there = line(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]))
    bars = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, low, high, strict=True))
    return f'<path class="band" d="{there}Z"/><path class="bar" d="{bars}"/>'


def stretches(count: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Return where at most ``most`` stretches of ``count`` values begin, and how long each is."""
    starts = np.unique(np.linspace(0, count, min(count, most) + 1).astype(int)[:-1])
    return starts, np.diff(np.append(starts, count))


def _written(name: str, value: float) -> str:
    if metric(name, value).endswith("%"):
        return f"{100 * value:.3g} %"
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.2g}".replace("e+0", "e").replace("e+", "e")
