"""The claim of diffusion policy: it keeps several ways of doing the same apart, where a mean of them fails."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilothouse.control.regression import OneCall
from pilothouse.control.samplers import DDIM, DDPM
from pilothouse.core.cards import Claim, Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.acting import Arm, measured, summary, trained
from pilothouse.methods.experiments.measured import claim, mean, over
from pilothouse.methods.experiments.rti_dp import SCALES, Scale
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.tasks.pick_lift import PickLift

FULL, QUICK, MEAN = "DDPM 100", "DDIM 10", "regression"
ARMS = {FULL: Arm(DDPM(), 8), QUICK: Arm(DDIM(steps=10), 8), MEAN: Arm(OneCall(), 8)}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Train diffusion policies and regressions on demonstrations that go either way; what is finished is kept.

    The diffusion policies are those of ``rti-dp``'s experiment: in the same folder they are trained once.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (minutes of two cores).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SCALES:
        raise ConfigError("diffusion-policy has no experiment at GPU scale yet: use --scale small")
    started, size = time.perf_counter(), SCALES[scale]
    found = [_training(size, seed, out / "runs", progress) for seed in range(size.seeds)]
    panels = [
        Panel("Success", "share of episodes (%)", {a: over([100 * _success(f, a) for f in found]) for a in ARMS}),
        Panel(
            "Successes that pass below the obstacle",
            "share (%)",
            {a: over([100 * _below(f[a]) for f in found]) for a in (FULL, QUICK)},
        ),
    ]
    figure = panels_figure(panels, out / "diffusion-policy", title=f"Diffusion policy, scale {scale}")
    seconds = time.perf_counter() - started
    return Evidence.of(
        "diffusion-policy",
        scale,
        claims(found),
        {"trainings": [{arm: summary(f[arm]) for arm in f} for f in found]},
        figure.name,
        seconds,
    )


def _training(size: Scale, seed: int, folder: Path, progress: Progress) -> dict[str, dict[str, Any]]:
    facts = {"task": "pick-lift", "seed": seed, **size.table}
    plain = {**facts, "objective": "regression", "sampler": "regression"}
    progress.phase(f"training {seed + 1} of {size.seeds}")
    policies = {
        name: trained("diffusion-policy", table, folder / run, progress)[0]
        for name, table, run in (("", facts, f"seed-{seed}"), (MEAN, plain, f"regression-{seed}"))
    }
    node, cells = SeedTree(seed) / "claims", folder / f"seed-{seed}-base"
    return {
        name: measured(
            arm,
            policies.get(name, policies[""]),
            PickLift(),
            size.episodes,
            node,
            cells / f"{number}.json",
            plain if name == MEAN else facts,
        )
        for number, (name, arm) in enumerate(ARMS.items())
    }


def _success(found: Mapping[str, Mapping[str, Any]], arm: str) -> float:
    return float(found[arm]["success"]["estimate"])


def _below(figures: Mapping[str, Any]) -> float:
    """Share of the successes that passed below the obstacle; NaN without any."""
    ways = [y < 0 for y, good in zip(figures["middle"], figures["successes"], strict=True) if good]
    return sum(ways) / len(ways) if ways else float("nan")


def claims(found: Sequence[Mapping[str, Mapping[str, Any]]]) -> tuple[Claim, ...]:
    """Return the claims.

    Args:
        found: by arm, its figures; one such table a training.
    """
    gap = over([100 * (_success(one, FULL) - _success(one, MEAN)) for one in found])
    rarer = over([100 * min(_below(one[FULL]), 1 - _below(one[FULL])) for one in found])
    quick = over([_success(one, QUICK) / _success(one, FULL) if _success(one, FULL) else float("nan") for one in found])
    rates = ", ".join(f"{arm} {mean([_success(one, arm) for one in found]):.1%}" for arm in ARMS)
    return (
        claim(
            "success of a diffusion policy above regression with the same network and data",
            "at least 20 points",
            gap,
            gap.estimate >= 20,
            "points",
            rates,
        ),
        claim(
            "successes of a diffusion policy that go the rarer of the two ways",
            "at least 20 %",
            rarer,
            rarer.estimate >= 20,
            "%",
        ),
        claim(
            f"success with {QUICK}, as a share of that with {FULL}",
            "at least 0.95",
            quick,
            quick.estimate >= 0.95,
            "share",
        ),
    )
