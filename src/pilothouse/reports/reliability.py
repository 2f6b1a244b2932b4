"""The reliability diagram: what probabilities said against what came true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pilothouse.reports.figures import BLACK, PALETTE, drawing, label, saved
from pilothouse.reports.statistics import wilson

#: Of each bin: mean probability, labels that were 1, rows.
Points = Sequence[tuple[float, int, int]]


def reliability_figure(curves: Mapping[str, Points], path_without_suffix: Path, *, title: str = "") -> Path:
    """Draw reliability curves with 95 % Wilson intervals; what is on the diagonal means what it says.

    Args:
        curves: by name, the points of a curve, as from ``Reliability.points``.
        path_without_suffix: where to write; ``.png`` and ``.svg`` are added.
        title: above the axes.

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    figure = drawing(5.4, 5.0, title)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=BLACK, alpha=0.5, linestyle="--", linewidth=1.2)
    for index, (name, points) in enumerate(curves.items()):
        colour = PALETTE[index % len(PALETTE)]
        said, rates = [point[0] for point in points], [wilson(came, n) for _, came, n in points]
        axes.vlines(said, [r.low for r in rates], [r.high for r in rates], color=colour, alpha=0.5, linewidth=2)
        axes.plot(said, [r.estimate for r in rates], color=colour, marker="o", markersize=5, label=name)
    label(axes, "", "share that came true")
    axes.set_xlabel("probability that was said", fontsize=11)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.legend(frameon=False)
    return saved(figure, path_without_suffix)
