"""EBT-Policy's claim: as good as a diffusion policy in two to four steps, with an energy that says something."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.methods.experiments.acting import latencies
from pilothouse.methods.experiments.ebt_policy import claims
from pilothouse.methods.experiments.ebt_policy.arms import (
    ARMS,
    DESCENTS,
    DIFFUSIONS,
    ENERGY,
    EQUAL,
    LONGER,
    STEPS,
    Design,
    policy_of,
    run_arm,
)
from pilothouse.methods.experiments.ebt_policy.signal import signal_figures
from pilothouse.methods.experiments.measured import over
from pilothouse.policies.energy_chunk import EnergyChunkPolicy
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress

SCALES = {
    "smoke": Design(updates=2, demonstrations=4, episodes=4, states=8, repeats=1, seeds=2),
    "small": Design(),
}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Train energies and diffusion policies on pick and lift and compare them; what is finished is kept.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (minutes of two cores).
        out: folder for the evidence, its figure and every finished training.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SCALES:
        raise ConfigError("ebt-policy has no experiment at GPU scale yet: use --scale small")
    started, design, runs = time.perf_counter(), SCALES[scale], out / "runs"
    seeds = range(design.seeds)
    found = {
        name: [run_arm(design, name, seed, runs, progress) for seed in (seeds if arm.judged else seeds[:1])]
        for name, arm in ARMS.items()
    }
    progress.say("energies as signals, and latencies")
    signals = [_signal(design, seed, runs) for seed in seeds]
    times = [_latency(design, seed, runs) for seed in seeds]
    judged = (*claims.success_claims(found), *claims.energy_claims(signals, times))
    title = f"EBT-Policy on pick and lift, scale {scale}"
    figure = panels_figure(_panels(found, signals, times), out / "claims", title=title)
    tables = {"arms": found, "signals": signals, "latency": times}
    return Evidence.of("ebt-policy", scale, judged, tables, figure.name, time.perf_counter() - started)


def _signal(design: Design, seed: int, runs: Path) -> dict[str, Any]:
    config = design.config(ARMS[ENERGY], seed)
    facts = {"config": config.model_dump(mode="json"), "states": design.states}

    def work() -> dict[str, Any]:
        policy = policy_of(design, ENERGY, seed, runs)
        assert isinstance(policy, EnergyChunkPolicy)
        return signal_figures(policy, config.task, design.demonstrations, design.states, seed)

    return kept(runs / f"signal-seed-{seed}.json", facts, work)


def _latency(design: Design, seed: int, runs: Path) -> dict[str, Any]:
    arms = {ENERGY: ("EBT, 2 steps", "EBT, 4 steps"), LONGER: ("DDPM-100", "DDIM-10", "DDIM-2")}
    samplers = {**DESCENTS, **DIFFUSIONS}
    facts = {arm: design.config(ARMS[arm], seed).model_dump(mode="json") for arm in arms}

    def work() -> dict[str, float]:
        policies = {arm: policy_of(design, arm, seed, runs) for arm in arms}
        plans = {name: (policies[arm], samplers[name]) for arm, names in arms.items() for name in names}
        return latencies(plans, design.repeats)

    return kept(runs / f"latency-seed-{seed}.json", {**facts, "repeats": design.repeats}, work)


def _panels(
    found: claims.Found, signals: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, float]]
) -> list[Panel]:
    def success(arm: str, sampler: str, measure: str = "success") -> Any:
        return over([100 * run["samplers"][sampler][measure] for run in found[arm]])

    energies = {f"energy, {k} steps": success(ENERGY, f"EBT, {k} steps") for k in STEPS}
    short = {f"{name}, equal updates": success(EQUAL, name) for name in DIFFUSIONS}
    long = {f"{name}, 4 times the updates": success(LONGER, name) for name in DIFFUSIONS}
    two = {f"energy, {k} steps": success("energy descent, two modes", f"EBT, {k} steps") for k in STEPS}
    two |= {f"{name}, 4 times": success("diffusion, two modes", name) for name in DIFFUSIONS}
    plans = {name: over([t[name] for t in times]) for name in times[0]}
    signal = {
        "thing out of range": over([s["auc"]["shifted"] for s in signals]),
        "observation noise": over([s["auc"]["noisy"] for s in signals]),
    }
    return [
        Panel("Success, demonstrators of one way", "episodes (%)", {**energies, **short, **long}),
        Panel("Success, demonstrators of two ways", "episodes (%)", two),
        Panel("A plan", "milliseconds, one slot, one thread", plans),
        Panel("Energy tells what is unlike training", "AUROC; bar 0.65 for the first", signal, 0.65),
    ]
