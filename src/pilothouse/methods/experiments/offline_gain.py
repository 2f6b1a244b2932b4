"""What an offline learner makes of recorded data: its return above that of the policy that recorded them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from pilothouse.control.learner import Learner
from pilothouse.control.offline_data import OfflineData
from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.measured import claim
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import paired_difference
from pilothouse.tasks.drift import Drift
from pilothouse.tasks.playing import play


@dataclass(frozen=True)
class Scale:
    """The size of the experiment: recorded episodes, batches of 256, seeds, and episodes that judge."""

    recorded: int = 125
    batches: int = 3000
    seeds: int = 5
    judged: int = 50


SCALES = {"smoke": Scale(4, 2, 2, 2), "small": Scale()}


def reproduce(method: str, scale: str, out: Path, progress: Progress) -> Evidence:
    """Measure a learner against the wavering policy of task ``drift``, whose episodes it learns from.

    Args:
        method: the learner's name.
        scale: "smoke" or "small".
        out: folder for the evidence, its figure and every finished seed.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SCALES:
        raise ConfigError(f"{method} has no experiment at GPU scale yet: use --scale small")
    started, size = time.perf_counter(), SCALES[scale]
    runs: list[dict[str, float]] = []
    for seed in range(size.seeds):
        progress.say(f"seed {seed + 1} of {size.seeds}")
        facts = {"method": method, "size": [size.recorded, size.batches, size.judged]}
        runs.append(kept(out / "cells" / f"{seed}.json", facts, lambda s=seed: _returns(method, size, SeedTree(s))))
    gain = paired_difference([run["learner"] for run in runs], [run["behaviour"] for run in runs])
    found = claim(
        "drift: mean return above that of the policy that recorded the data",
        "above 0, with its whole interval",
        gain,
        gain.low > 0,
        "return",
    )
    panel = Panel("Return above the recording policy's", "return", {method: gain}, 0.0)
    figure = panels_figure([panel], out / "claims", title=f"{method}, scale {scale}")
    return Evidence.of(method, scale, (found,), {"runs": runs}, figure.name, time.perf_counter() - started)


def _returns(method: str, size: Scale, seeds: SeedTree) -> dict[str, float]:
    task = Drift()
    data = OfflineData.of(task, task.demonstrations(size.recorded, seeds / "data"))
    learner = Learner.build({"name": method, "discount": 0.95}).fit(data, size.batches, seeds / "learner")
    starts = seeds / "evaluation"
    wavering = task.behaviour(starts / "noise")
    found: dict[str, float] = {}
    for name, act in (("learner", learner.act), ("behaviour", wavering.act)):
        shown = play(task.make(size.judged, starts), lambda seen, _, act=act: act(seen), task.bounds)
        found[name] = float(torch.stack([one.rewards.sum() for one in shown]).mean())
    return found
