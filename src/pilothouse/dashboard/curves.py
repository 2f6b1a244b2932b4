"""Curves as small SVG pictures: the server draws them, the style sheet colours them, a script reads the values out."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from pilothouse.dashboard.words import METRICS, metric
from pilothouse.reports.figures import smooth
from pilothouse.reports.metrics_file import Metrics

WIDTH, HEIGHT = 340, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 12, 8, 22
POINTS = 240  #: drawn of a curve
DEFAULT = ("held_out", "reward", "accuracy", "loss", "length", "entropy", "grad_norm", "truncated")


@dataclass(frozen=True)
class Band:
    """The interval around a curve: low and high ends [n]."""

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Panel:
    """A curve with its name.

    Args:
        name: the figure's own name.
        title: what to call it.
        note: what it is, in a few words.
        last: its newest value, for reading.
        svg: the picture.
    """

    name: str
    title: str
    note: str
    last: str
    svg: Markup


def panels(metrics: Metrics, chosen: list[str], ends: list[dict[str, float]]) -> list[Panel]:
    """Return the panels of a run.

    Args:
        metrics: what its steps recorded.
        chosen: names of figures; empty takes those that say most.
        ends: held-out measurements before the first and after the last step.
    """
    for row in ends:
        metrics.add(dict(row))
    known = metrics.names()
    names = [name for name in chosen if name in known] or [name for name in DEFAULT if name in known] or known[:6]
    return [_panel(metrics, name) for name in names]


def _panel(metrics: Metrics, name: str) -> Panel:
    steps, values = metrics.known(name)
    order = np.argsort(steps, kind="stable")
    steps, values = steps[order], values[order]
    band = None
    if name == "held_out":
        (_, low), (_, high) = metrics.known("held_out_low"), metrics.known("held_out_high")
        band = Band(low[order], high[order]) if len(low) == len(high) == len(values) else None
    title, note = METRICS.get(name, (name, ""))
    return Panel(name, title, note, metric(name, float(values[-1])), curve_svg(steps, values, name, band))


def curve_svg(steps: np.ndarray, values: np.ndarray, name: str, band: Band | None = None) -> Markup:
    """Return a curve: faint as recorded, strong as its moving average; with a band, the points and their intervals.

    Args:
        steps: [n] in order, n at least 1.
        values: [n] finite.
        name: the figure's name.
        band: intervals, if they were measured.
    """
    width = 1 if band is not None else (len(values) // 20) | 1
    strong = smooth(values, width)
    low, high = _range(values, band)
    first = float(steps[0]) if len(steps) > 1 else min(0.0, float(steps[0]))
    x = _scale(first, float(steps[-1]), _LEFT, WIDTH - _RIGHT)
    y = _scale(low, high, HEIGHT - _BOTTOM, _TOP)
    xs, (raw_low, raw_high, mean) = _thin(steps, values, strong)
    parts = [_axes(name, (first, float(steps[-1])), (low, high), x, y)]
    if band is not None:
        parts.append(_band(x(steps), y(band.low), y(band.high)))
    elif width > 1:
        parts.append(
            f'<path class="raw" d="{_line(np.repeat(x(xs), 2), y(np.stack([raw_low, raw_high], 1).ravel()))}"/>'
        )
    parts.append(f'<path class="curve" d="{_line(x(xs), y(mean))}"/>')
    if band is not None or len(xs) == 1:
        parts += [
            f'<circle class="point" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>' for a, b in zip(x(xs), y(mean), strict=True)
        ]
    points = [
        [_plain(s), _plain(v), round(float(x(s)), 1), round(float(y(v)), 1)] for s, v in zip(xs, mean, strict=True)
    ]
    title, _ = METRICS.get(name, (name, ""))
    ends = [f"{metric(name, float(values[at]))} at step {steps[at]:g}" for at in (0, -1)]
    said = f"{title}: {', '.join(ends)}"
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}" data-points="{}">{}'
        '<line class="cursor" y1="{}" y2="{}" hidden=""/><circle class="dot" r="3.5" hidden=""/></svg>'
    ).format(WIDTH, HEIGHT, said, json.dumps(points), Markup("".join(parts)), _TOP, HEIGHT - _BOTTOM)


def spark_svg(values: tuple[float, ...], name: str) -> Markup:
    """Return a curve without axes for a line of a table.

    Args:
        values: in order.
        name: what they are.
    """
    if len(values) < 2:
        return Markup("")
    array = np.array(values)
    low, high = float(array.min()), float(array.max())
    y = _scale(low, high if high > low else low + 1, 21, 3)
    x = np.linspace(2, 86, len(array))
    return Markup('<svg class="spark" viewBox="0 0 88 24" role="img" aria-label="{}"><path d="{}"/></svg>').format(
        f"{name} from {metric(name, values[0])} to {metric(name, values[-1])}", _line(x, y(array))
    )


def ticks(low: float, high: float, most: int = 4) -> list[float]:
    """Return round numbers within a range, at most ``most`` of them."""
    spread = high - low
    if not (math.isfinite(spread) and spread > 0):
        return [low]
    size = 10.0 ** math.floor(math.log10(spread / most))
    step = next(size * factor for factor in (1, 2, 5, 10, 20) if spread / (size * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)][: most + 1]


def _range(values: np.ndarray, band: Band | None) -> tuple[float, float]:
    everything = values if band is None else np.concatenate([values, band.low, band.high])
    low, high = float(everything.min()), float(everything.max())
    room = 0.06 * (high - low) or (abs(high) * 0.1 or 1.0)
    # a share or a count that touches nothing does not dip below it
    return (0.0 if 0 <= low < room else low - room), (1.0 if 1 - room < high <= 1 and low >= 0 else high + room)


def _scale(low: float, high: float, start: float, stop: float) -> Any:
    spread = high - low or 1.0
    return lambda values: start + (np.asarray(values, dtype=float) - low) / spread * (stop - start)


def _thin(
    steps: np.ndarray, values: np.ndarray, strong: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """At most ``POINTS`` points: of each stretch the middle step, least and greatest value, and the average's mean."""
    if len(values) <= POINTS:
        return steps, (values, values, strong)
    edges = np.linspace(0, len(values), POINTS + 1).astype(int)[:-1]
    sizes = np.diff(np.append(edges, len(values)))
    lows, highs = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    means = np.add.reduceat(strong, edges) / sizes
    xs = steps[np.minimum(edges + sizes // 2, len(steps) - 1)]
    xs[-1], means[-1] = steps[-1], strong[-1]
    return xs, (lows, highs, means)


def _line(x: np.ndarray, y: np.ndarray) -> str:
    return "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))


def _band(x: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    there = _line(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]))
    bars = "".join(f"M{a:.1f} {b:.1f}V{c:.1f}" for a, b, c in zip(x, low, high, strict=True))
    return f'<path class="band" d="{there}Z"/><path class="bar" d="{bars}"/>'


def _axes(name: str, steps: tuple[float, float], values: tuple[float, float], x: Any, y: Any) -> str:
    lines: list[str] = []
    for tick in ticks(*values, 4):
        at = float(y(tick))
        lines.append(f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        lines.append(
            f'<text class="tick" x="{_LEFT - 6}" y="{at + 3.5:.1f}" text-anchor="end">{_tick(name, tick)}</text>'
        )
    for tick in ticks(*steps, 5):
        at = float(x(tick))
        if tick.is_integer():
            end = "end" if at > WIDTH - 30 else "middle"
            place = min(at, WIDTH - 4.0) if end == "end" else at
            lines.append(f'<text class="tick" x="{place:.1f}" y="{HEIGHT - 6}" text-anchor="{end}">{tick:g}</text>')
    return "".join(lines)


def _tick(name: str, value: float) -> str:
    if metric(name, value).endswith("%"):
        return f"{100 * value:.3g} %"
    return f"{value:.3g}" if abs(value) < 1e4 else f"{value:.2g}".replace("e+0", "e").replace("e+", "e")


def _plain(value: float) -> float:
    return float(f"{float(value):.6g}")
