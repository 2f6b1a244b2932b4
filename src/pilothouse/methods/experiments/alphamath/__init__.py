"""AlphaMath's claim: two rounds of self-training on chains of arithmetic, then search with the value they taught."""

from __future__ import annotations

import time
from pathlib import Path

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.methods.experiments.alphamath.claims import accuracy, claims
from pilothouse.methods.experiments.alphamath.runs import SMALL, SMOKE, run_seed
from pilothouse.methods.experiments.measured import over
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiment behind AlphaMath's claim; seeds that are finished are kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (about a quarter of an hour of one core).
        out: folder for the evidence, its figure and every finished seed.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", which has no experiment yet.
    """
    if scale == "gpu":
        raise ConfigError("alphamath has no experiment at scale gpu yet: use --scale small")
    started, design = time.perf_counter(), SMOKE if scale == "smoke" else SMALL
    runs = []
    for seed in range(design.seeds):
        progress.phase(f"alphamath: seed {seed + 1} of {design.seeds}")
        runs.append(run_seed(design, seed, out / "runs", progress))
    last = str(design.rounds)
    found = claims(runs, last)
    ends = [run[last] for run in runs]
    reached = {"sampled, round 0": over(accuracy([run["0"] for run in runs], "sampled"))}
    for name in ends[0]:
        if "accuracy" in ends[0][name]:
            reached[name] = over(accuracy(ends, name))
    panels = [Panel("Held-out chains", "accuracy after two rounds (%)", reached)]
    path = panels_figure(panels, out / "claims", title=f"AlphaMath, scale {scale}")
    return Evidence.of("alphamath", scale, found, {"seeds": runs}, path.name, time.perf_counter() - started)
