"""The claim of particle-based scaling: searches beside each other on chains of eight steps, at equal budgets."""

from __future__ import annotations

import time
from pathlib import Path

from pilothouse.core.cards import Evidence
from pilothouse.methods.experiments.particle_scaling.claims import claims
from pilothouse.methods.experiments.particle_scaling.design import DESIGNS, Design
from pilothouse.methods.experiments.particle_scaling.measure import Figures, measure
from pilothouse.methods.experiments.particle_scaling.tabular import tabular
from pilothouse.reports.figures import lines_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval, paired_difference


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run every search at every budget and judge the four bars; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about half an hour of a core) or "gpu" (more of the same).
        out: folder for the evidence, its figure and every finished piece.
        progress: shows what happens.
    """
    started, design = time.perf_counter(), DESIGNS[scale]
    found = measure(design, out / "runs", progress)
    judged = claims(found, design)
    figure = lines_figure(
        _lines(found, design),
        design.budgets,
        out / "scaling",
        x_label="budget N (whole responses)",
        y_label="held-out accuracy",
        title=f"Chains of 8 steps, scale {scale}",
    )
    return Evidence.of(
        "particle-scaling",
        scale,
        judged,
        {"arms": found, "tabular": tabular(10 if scale == "smoke" else 400)},
        figure.name,
        time.perf_counter() - started,
    )


def _lines(found: Figures, design: Design) -> dict[str, list[Interval]]:
    """Return the arms that were measured at every budget, over seeds."""
    names = ("particles", "best-of-n", "weighted", "majority")
    return {
        name: [
            paired_difference(accuracy, [0.0] * len(accuracy))
            for budget in design.budgets
            for accuracy in (found[f"{name}@{budget}"]["accuracy"],)
        ]
        for name in names
    }
