"""RTI-DP's claim: a diffusion policy at a fraction of its network calls, by polishing the plan of a moment ago."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.acting import latencies, measured, summary, trained
from pilothouse.methods.experiments.measured import over
from pilothouse.methods.experiments.rti_dp import claims
from pilothouse.methods.experiments.rti_dp.arms import ARMS, BASE, RTI_7, RTI_13
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.files import read_json, write_json
from pilothouse.reports.progress import Progress
from pilothouse.tasks.pick_lift import PickLift

JUDGED = RTI_13  #: the list of 7 to 13 calls that claim 1 is about, chosen on a training that is not among the three
JUMP = 0.1  #: standard deviation of a jump of the thing in mid-episode, outside the claims


@dataclass(frozen=True)
class Scale:
    """The size of the experiment.

    Args:
        table: settings of every training over the recipe's own.
        seeds: trainings.
        episodes: of each arm.
        rounds: predictions timed of each arm.
    """

    table: Mapping[str, Any] = field(default_factory=lambda: {"training": {"steps": 4000, "demonstrations": 200}})
    seeds: int = 3
    episodes: int = 200
    rounds: int = 30


_TINY = {
    "policy": {"denoiser": {"width": 16, "blocks": 1}, "levels": 30},
    "training": {"steps": 2, "demonstrations": 3, "batch": 8, "eval_episodes": 2},
}
SCALES = {"smoke": Scale(_TINY, seeds=2, episodes=3, rounds=1), "small": Scale()}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Train diffusion policies and let each act in every way; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (minutes of two cores).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SCALES:
        raise ConfigError("rti-dp has no experiment at GPU scale yet: use --scale small")
    started, size = time.perf_counter(), SCALES[scale]
    found = [_training(size, seed, out / "runs", progress) for seed in range(size.seeds)]
    figure = panels_figure(_panels(found), out / "claims", title=f"RTI-DP, scale {scale}")
    return Evidence.of(
        "rti-dp",
        scale,
        claims.claims(found, JUDGED),
        {"trainings": found},
        figure.name,
        time.perf_counter() - started,
    )


def _training(size: Scale, seed: int, folder: Path, progress: Progress) -> dict[str, dict[str, Any]]:
    """One training, and every arm's figures with it."""
    progress.phase(f"training {seed + 1} of {size.seeds}")
    facts = {"task": "pick-lift", "seed": seed, **size.table}
    policy, _ = trained("diffusion-policy", facts, folder / f"seed-{seed}", progress)
    cells, node = folder / f"seed-{seed}-arms", SeedTree(seed) / "claims"
    found: dict[str, dict[str, Any]] = {}
    for number, (name, arm) in enumerate(ARMS.items()):
        progress.say(f"{name}: {size.episodes} episodes")
        figures = measured(arm, policy, PickLift(), size.episodes, node, cells / f"{number}.json", facts)
        found[name] = summary(figures)
        if name in (BASE, RTI_7, RTI_13):
            cell = cells / f"{number}-jump.json"
            jumped = measured(arm, policy, PickLift(jump=JUMP), size.episodes, node, cell, facts)
            found[name] = {**found[name], "after_a_jump": jumped["success"]["estimate"]}
    timed = cells / "milliseconds.json"
    if not timed.is_file():  # a time is measured once: another day's would not be the same
        write_json(timed, latencies({name: (policy, arm.sampler) for name, arm in ARMS.items()}, size.rounds))
    return {name: {**figures, "ms": read_json(timed)[name]} for name, figures in found.items()}


def _panels(found: Sequence[claims.Training]) -> list[Panel]:
    def panel(title: str, label: str, values: Mapping[str, list[float]], bar: float | None = None) -> Panel:
        return Panel(title, label, {name: over(row) for name, row in values.items()}, bar)

    return [
        panel("Success", "share of episodes (%)", {a: [100 * claims.success(f, a) for f in found] for a in ARMS}),
        panel("Change between actions", "units of the action", {a: [f[a]["jerk"] for f in found] for a in ARMS}),
        panel("Time of a prediction", "milliseconds, one slot", {a: [f[a]["ms"] for f in found] for a in ARMS}),
        panel(
            "Network calls an action",
            "first plans included",
            {a: [f[a]["calls_per_action"] for f in found] for a in ARMS},
        ),
    ]
