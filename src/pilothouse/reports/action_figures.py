"""Figures of policies that act: how they learnt, and what they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from pilothouse.reports.figures import BLUE, GREEN, PURPLE, VERMILION, column, curve, drawing, held_out, label, saved

_SHOWN = 60  # episodes in a picture


class Episode(Protocol):
    """One episode in an environment: observations [H+1, D], rewards [H], success (1, 0 or NaN)."""

    @property
    def observations(self) -> Any:
        """[H+1, D]."""
        ...

    @property
    def rewards(self) -> Any:
        """[H]."""
        ...

    @property
    def success(self) -> float:
        """1, 0 or NaN."""
        ...


def learning_figure(rows: Sequence[Mapping[str, Any]], stem: Path, *, title: str = "", measured: str = "") -> Path:
    """Draw loss, gradient norm and what was measured in the environment, over the steps of a run.

    Args:
        rows: metrics rows; what a row lacks is not drawn.
        stem: where to write; ``.png`` and ``.svg`` are added.
        title: above the panels.
        measured: what ``held_out`` is: "success" or "return".

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    figure = drawing(10.0, 3.6, title)
    loss, norm, acting = figure.subplots(1, 3)
    steps = column(rows, "step")
    for axes, name, colour in ((loss, "loss", BLUE), (norm, "grad_norm", PURPLE)):
        curve(axes, steps, column(rows, name), colour)
        axes.set_yscale("log")
    label(loss, "Loss", "mean over the batch")
    label(norm, "Gradient norm", "before clipping")
    held_out(acting, rows, steps, "episodes, with interval")
    label(acting, "Acting", measured)
    acting.set_xlim(0, 1.05 * float(steps.max()))
    if measured == "success":
        acting.set_ylim(0, 1)
    figure.supxlabel("training step", fontsize=11)
    return saved(figure, stem)


def episodes_figure(episodes: Sequence[Episode], plane: tuple[int, int] | None, stem: Path, *, title: str = "") -> Path:
    """Draw episodes: their way through the plane, or their rewards as they add up where there is no plane.

    Args:
        episodes: the first sixty are drawn.
        plane: two columns of the observations.
        stem: where to write; ``.png`` and ``.svg`` are added.
        title: above the picture.

    Returns:
        The path of the PNG.

    Raises:
        RunError: the files cannot be written.
    """
    figure = drawing(6.0, 5.0, title)
    axes = figure.subplots()
    for one in episodes[:_SHOWN]:
        colour = {1.0: GREEN, 0.0: VERMILION}.get(one.success, BLUE)
        if plane is None:
            x, y = np.arange(1, len(one.rewards) + 1), np.cumsum(np.asarray(one.rewards))
        else:
            x, y = (np.asarray(one.observations)[:, i] for i in plane)
        axes.plot(x, y, color=colour, alpha=0.5, linewidth=1.2)
        axes.plot(x[-1:], y[-1:], "o", color=colour, markersize=3)
    if plane is None:
        label(axes, "", "rewards so far")
        axes.set_xlabel("step", fontsize=11)
    else:
        label(axes, "green: fulfilled, red: not", "second coordinate")
        axes.set_xlabel("first coordinate", fontsize=11)
        axes.set_aspect("equal", adjustable="datalim")
    return saved(figure, stem)
