"""Figures for readers: training curves, lines with bands, intervals side by side; PNG and SVG.

Figures are drawn without pyplot, so nothing is shared between them and no window is ever opened. Colours are Okabe and
Ito's palette, which colour-blind readers tell apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pilothouse.reports.files import replacing
from pilothouse.reports.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
PURPLE, SKY, BLACK = "#CC79A7", "#56B4E9", "#222222"
PALETTE = (BLUE, VERMILION, GREEN, ORANGE, PURPLE, SKY, BLACK)
_GREY = "#6B7280"


def training_figure(rows: Sequence[Mapping[str, Any]], path_without_suffix: Path, title: str = "") -> Path:
    """Draw reward, accuracy, entropy and length over the steps of a run.

    Faint lines are the steps as recorded, strong lines their moving average; held-out accuracy is drawn with its
    interval at the steps where it was measured.

    Args:
        rows: metrics rows of a run; what a row lacks, or holds as ``None``, is not drawn.
        path_without_suffix: where to write; ``.png`` and ``.svg`` are added.
        title: above the panels.

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    from matplotlib.ticker import MaxNLocator

    figure = drawing(10.0, 6.2, title)
    panels: list[Axes] = list(figure.subplots(2, 2, sharex=True).flat)
    steps = np.array([row["step"] for row in rows], dtype=float)
    reward, accuracy, entropy, length = panels
    curve(reward, steps, column(rows, "reward"), BLUE)
    label(reward, "Reward", "mean reward per response")
    curve(accuracy, steps, column(rows, "accuracy"), GREEN, "training prompts")
    held_out(accuracy, rows, steps)
    label(accuracy, "Accuracy", "right answers (%)")
    _in_percent(accuracy)
    curve(entropy, steps, column(rows, "entropy"), VERMILION)
    entropy.set_ylim(bottom=0)
    label(entropy, "Entropy", "nats per token")
    _length(length, rows, steps)
    width = _window(len(rows))
    note = f"  (faint: every step; strong: mean over {width} steps)" if width > 1 else ""
    figure.supxlabel(f"training step{note}", fontsize=11, color=BLACK)
    reward.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    figure.align_ylabels()
    return saved(figure, path_without_suffix)


def lines_figure(
    series: Mapping[str, Sequence[Interval]],
    x: Sequence[float],
    path_without_suffix: Path,
    *,
    x_label: str,
    y_label: str,
    title: str = "",
) -> Path:
    """Draw estimates over a common axis, each line with its interval as a band.

    Args:
        series: by name, one interval for each point of ``x``.
        x: positions, in the unit that ``x_label`` names.
        path_without_suffix: where to write; ``.png`` and ``.svg`` are added.
        x_label: what the positions are, with unit.
        y_label: what the estimates are, with unit.
        title: above the axes.

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    figure = drawing(7.0, 4.4, title)
    axes = figure.subplots()
    for index, (name, intervals) in enumerate(series.items()):
        colour = PALETTE[index % len(PALETTE)]
        low, high = _ends(intervals)
        axes.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)
        axes.plot(x, [i.estimate for i in intervals], color=colour, marker="o", markersize=4, label=name)
    label(axes, "", y_label)
    axes.set_xlabel(x_label, fontsize=11)
    axes.legend(frameon=False)
    return saved(figure, path_without_suffix)


def intervals_figure(
    labels: Sequence[str],
    intervals: Sequence[Interval],
    path_without_suffix: Path,
    *,
    unit: str,
    reference: float | None = None,
    title: str = "",
) -> Path:
    """Draw intervals side by side, one a row, the first on top.

    Args:
        labels: what each interval is of.
        intervals: one a label.
        path_without_suffix: where to write; ``.png`` and ``.svg`` are added.
        unit: what the estimates are, and in what unit.
        reference: a value to compare with, such as a claim's bar, drawn as a dashed line.
        title: above the axes.

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    panel = Panel("", unit, dict(zip(labels, intervals, strict=True)), reference)
    return panels_figure([panel], path_without_suffix, title=title)


@dataclass(frozen=True)
class Panel:
    """Intervals side by side on an axis of their own.

    Args:
        title: above the panel.
        x_label: what the estimates are, with unit.
        intervals: by label, the first on top.
        reference: a value to compare with, such as a claim's bar, drawn as a dashed line.
    """

    title: str
    x_label: str
    intervals: Mapping[str, Interval]
    reference: float | None = None


def panels_figure(panels: Sequence[Panel], path_without_suffix: Path, *, title: str = "") -> Path:
    """Draw panels of intervals in one figure, two a row.

    Args:
        panels: at least one.
        path_without_suffix: where to write; ``.png`` and ``.svg`` are added.
        title: above the panels.

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    columns, most = min(2, len(panels)), max(len(panel.intervals) for panel in panels)
    rows = -(-len(panels) // columns)
    figure = drawing(1.0 + 6.0 * columns, (1.3 + 0.45 * most) * rows, title)
    places = list(np.ravel(figure.subplots(rows, columns)))
    for axes, panel in zip(places, panels, strict=False):
        _intervals(axes, panel)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    return saved(figure, path_without_suffix)


def _intervals(axes: Axes, panel: Panel) -> None:
    intervals = list(panel.intervals.values())
    places = np.arange(len(intervals))[::-1]
    if panel.reference is not None:
        axes.axvline(panel.reference, color=_GREY, linestyle="--", linewidth=1.2)
    low, high = _ends(intervals)
    axes.hlines(places, low, high, color=BLUE, linewidth=2.5)
    axes.plot([i.estimate for i in intervals], places, "o", color=BLUE, markersize=7)
    label(axes, panel.title, "")
    axes.set_yticks(places, list(panel.intervals))
    axes.set_ylim(-0.6, len(intervals) - 0.4)
    axes.set_xlabel(panel.x_label, fontsize=11)
    axes.grid(axis="y", visible=False)


def smooth(values: np.ndarray, width: int) -> np.ndarray:
    """Return the centred moving average, over what there is at the ends; NaNs are left out of it.

    Args:
        values: [n] figures in order.
        width: values averaged, odd.
    """
    if not len(values):
        return values
    known, kernel = np.isfinite(values), np.ones(width)
    half = width // 2
    sums = np.convolve(np.where(known, values, 0.0), kernel)[half : half + len(values)]
    counts = np.convolve(known.astype(float), kernel)[half : half + len(values)]
    return np.divide(sums, counts, out=np.full(len(values), np.nan), where=counts > 0)


def drawing(width: float, height: float, title: str) -> Figure:
    """Return an empty figure of this size, in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    if title:
        figure.suptitle(title, fontsize=14, fontweight="bold", color=BLACK)
    return figure


def label(axes: Axes, title: str, y_label: str) -> None:
    """Give axes a title, a name for what is drawn, and a grid."""
    axes.set_title(title, loc="left", fontsize=12, fontweight="bold", color=BLACK)
    axes.set_ylabel(y_label, fontsize=11)
    axes.set_axisbelow(True)
    axes.grid(color="#E5E7EB", linewidth=0.8)


def saved(figure: Figure, stem: Path) -> Path:
    """Write a figure as SVG and PNG and return the path of the PNG."""
    import matplotlib

    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(_GREY)
        axes.tick_params(labelsize=10, color=_GREY)
    # a fixed salt and no date: the same rows draw the same bytes
    with matplotlib.rc_context({"svg.hashsalt": "pilothouse"}):
        for suffix, extra in ((".svg", {"Date": None}), (".png", {})):
            drawn = BytesIO()
            figure.savefig(drawn, format=suffix[1:], metadata=extra)
            with replacing(stem.with_name(stem.name + suffix)) as stream:
                stream.write(drawn.getvalue())
    return stem.with_name(stem.name + ".png")


def column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    """Return one figure of every row, NaN where it is absent."""
    return np.array([np.nan if row.get(name) is None else row[name] for row in rows], dtype=float)


def _window(count: int) -> int:
    """Steps to average over: odd, a twentieth of the run."""
    return (count // 20) | 1


def curve(axes: Axes, steps: np.ndarray, values: np.ndarray, colour: str, name: str | None = None) -> None:
    """Draw values as they are, faint, and their moving average, strong."""
    axes.plot(steps, values, color=colour, alpha=0.25, linewidth=1)
    axes.plot(steps, smooth(values, _window(len(values))), color=colour, linewidth=2.2, label=name)


def held_out(
    axes: Axes, rows: Sequence[Mapping[str, Any]], steps: np.ndarray, name: str = "held-out problems, with interval"
) -> None:
    """Draw the held-out measurements among the rows, with their intervals."""
    values, low, high = (column(rows, name) for name in ("held_out", "held_out_low", "held_out_high"))
    there = np.isfinite(values)
    if there.any():
        axes.fill_between(steps[there], low[there], high[there], color=BLUE, alpha=0.15, linewidth=0)
        axes.vlines(steps[there], low[there], high[there], color=BLUE, linewidth=1.5)
        axes.plot(steps[there], values[there], "o-", color=BLUE, label=name)
        axes.legend(frameon=False, fontsize=10)


def _length(axes: Axes, rows: Sequence[Mapping[str, Any]], steps: np.ndarray) -> None:
    curve(axes, steps, column(rows, "length"), PURPLE)
    axes.set_ylim(bottom=0)
    label(axes, "Response length", "tokens")
    cut = column(rows, "truncated")
    if np.isfinite(cut).any():
        share = axes.twinx()
        share.fill_between(steps, 0, smooth(cut, _window(len(cut))), color=_GREY, alpha=0.2, linewidth=0)
        share.set_ylim(0, 1)
        share.set_ylabel("cut off at the limit (%)", fontsize=11, color=_GREY)
        _in_percent(share)


def _in_percent(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.yaxis.set_major_formatter(PercentFormatter(xmax=1, decimals=0, symbol=""))


def _ends(intervals: Sequence[Interval]) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends; an unbounded one is drawn as the estimate."""
    ends = np.array([[i.low, i.high] for i in intervals], dtype=float).reshape(-1, 2)
    estimates = np.array([[i.estimate] for i in intervals])
    ends = np.where(np.isfinite(ends), ends, estimates)
    return ends[:, 0], ends[:, 1]
