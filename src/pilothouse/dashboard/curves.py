"""Curves as small SVG pictures: the server draws them, the style sheet colours them, a script reads the values out."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from pilothouse.dashboard.plotting import BOTTOM, HEIGHT, TOP, WIDTH, Frame, band, frame, line, scale, stretches
from pilothouse.dashboard.words import METRICS, metric
from pilothouse.reports.figures import smooth
from pilothouse.reports.metrics_file import Metrics

POINTS = 240  #: drawn of a curve
DEFAULT = ("held_out", "reward", "accuracy", "loss", "length", "entropy", "grad_norm", "truncated")


@dataclass(frozen=True)
class Series:
    """A curve.

    Args:
        label: whose it is.
        steps: [n] in order, n at least 1.
        values: [n] finite.
        low: [n] lower ends of intervals; ``None`` if none were measured.
        high: [n] upper ends.
    """

    label: str
    steps: np.ndarray
    values: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None


@dataclass(frozen=True)
class Panel:
    """A picture of one figure, of one run or of several.

    Args:
        name: the figure's own name.
        title: what to call it.
        note: what it is, in a few words.
        last: its newest value, for reading; empty over several runs.
        svg: the picture.
    """

    name: str
    title: str
    note: str
    last: str
    svg: Markup


def panels(runs: Mapping[str, Metrics], chosen: Sequence[str]) -> list[Panel]:
    """Return a panel a figure, with a curve of every run that has it.

    Args:
        runs: what the steps of each run recorded, by its label.
        chosen: names of figures; empty takes those that say most.
    """
    known = list(dict.fromkeys(name for metrics in runs.values() for name in metrics.names()))
    names = [name for name in chosen if name in known] or [name for name in DEFAULT if name in known] or known[:6]
    return [_panel({label: series_of(metrics, name, label) for label, metrics in runs.items()}, name) for name in names]


def series_of(metrics: Metrics, name: str, label: str) -> Series | None:
    """Return the curve of a figure, with its intervals if they were measured; ``None`` where it is known nowhere."""
    steps, values = metrics.known(name)
    if not len(values):
        return None
    order = np.argsort(steps, kind="stable")
    (_, low), (_, high) = metrics.known(f"{name}_low"), metrics.known(f"{name}_high")
    if len(low) == len(high) == len(values):
        return Series(label, steps[order], values[order], low[order], high[order])
    return Series(label, steps[order], values[order])


def _panel(series: Mapping[str, Series | None], name: str) -> Panel:
    title, note = METRICS.get(name, (name, ""))
    known = [one for one in series.values() if one is not None]
    last = metric(name, float(known[0].values[-1])) if len(series) == 1 else ""
    return Panel(name, title, note, last, curves_svg(list(series.values()), name))


def curves_svg(series: Sequence[Series | None], name: str) -> Markup:
    """Return the picture of a figure.

    Of one run: faint as recorded and strong as the moving average, or, where it was measured, the points with their
    intervals. Of several: the strong lines, each in the colour of its place.

    Args:
        series: a curve a run; ``None`` keeps the place of a run that lacks it.
        name: the figure's name.
    """
    known = [one for one in series if one is not None]
    alone = len(series) == 1
    ends = [end for one in known if alone for end in (one.low, one.high) if end is not None]
    there = frame(np.concatenate([one.steps for one in known]), np.concatenate([*(one.values for one in known), *ends]))
    parts, read = [there.axes(name)], list[dict[str, Any]]()
    for place, one in enumerate(series):
        if one is not None:
            parts.append(_curve(one, there, "" if alone else f" k{place}", alone))
            read.append({"label": one.label, "place": place, "points": _points(one, there)})
    colours = ["" if alone else f" k{one['place']}" for one in read]
    dots = "".join(f'<circle class="dot{colour}" r="3.5" hidden=""/>' for colour in colours)
    title, _ = METRICS.get(name, (name, ""))
    said = "; ".join(f"{one.label}{': ' if one.label else ''}{_ends(one, name)}" for one in known)
    return Markup(
        '<svg class="plot" viewBox="0 0 {} {}" role="img" aria-label="{}: {}" data-series="{}">{}'
        '<line class="cursor" y1="{}" y2="{}" hidden=""/>{}</svg>'
    ).format(WIDTH, HEIGHT, title, said, json.dumps(read), Markup("".join(parts)), TOP, HEIGHT - BOTTOM, Markup(dots))


def _curve(one: Series, there: Frame, colour: str, alone: bool) -> str:
    """The marks of one curve."""
    measured = one.low is not None and one.high is not None
    width = 1 if measured else (len(one.values) // 20) | 1
    starts, sizes = stretches(len(one.values), POINTS)
    x = there.x(_middles(one.steps, starts, sizes))
    strong = there.y(np.add.reduceat(smooth(one.values, width), starts) / sizes)
    marks = [f'<path class="curve{colour}" d="{line(x, strong)}"/>']
    if alone and one.low is not None and one.high is not None:
        marks.insert(0, band(there.x(one.steps), there.y(one.low), there.y(one.high)))
    elif alone and width > 1:
        reach = [np.minimum.reduceat(one.values, starts), np.maximum.reduceat(one.values, starts)]
        marks.insert(0, f'<path class="raw" d="{line(np.repeat(x, 2), there.y(np.stack(reach, 1).ravel()))}"/>')
    if measured or len(x) == 1:
        places = zip(x, strong, strict=True)
        marks += [f'<circle class="point{colour}" cx="{a:.1f}" cy="{b:.1f}" r="2.6"/>' for a, b in places]
    return "".join(marks)


def _points(one: Series, there: Frame) -> list[list[float]]:
    """What the script reads out: step, value, and where they lie; of a long run the means of stretches."""
    starts, sizes = stretches(len(one.values), POINTS)
    steps, values = _middles(one.steps, starts, sizes), np.add.reduceat(one.values, starts) / sizes
    places = zip(steps, values, there.x(steps), there.y(values), strict=True)
    return [[float(f"{s:.6g}"), float(f"{v:.6g}"), round(float(x), 1), round(float(y), 1)] for s, v, x, y in places]


def _middles(steps: np.ndarray, starts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """The middle step of each stretch, and the very last at the end."""
    middles = steps[starts + sizes // 2].copy()
    middles[-1] = steps[-1]
    return middles


def _ends(one: Series, name: str) -> str:
    return ", ".join(f"{metric(name, float(one.values[at]))} at step {one.steps[at]:g}" for at in (0, -1))


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
    y = scale(low, high if high > low else low + 1, 21, 3)
    said = f"{name} from {metric(name, values[0])} to {metric(name, values[-1])}"
    return Markup('<svg class="spark" viewBox="0 0 88 24" role="img" aria-label="{}"><path d="{}"/></svg>').format(
        said, line(np.linspace(2, 86, len(array)), y(array))
    )
