"""Thought Branches' claims: chains of known truth, nudged reasoning, and the published transplants where they are."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.methods.experiments.measured import over
from pilothouse.methods.experiments.thought_branches import claims
from pilothouse.methods.experiments.thought_branches.hints import nudged
from pilothouse.methods.experiments.thought_branches.known_truth import known_truth
from pilothouse.methods.experiments.thought_branches.policies import SHAPE, SIZES, Size
from pilothouse.methods.experiments.thought_branches.published import EXPECTED, FILE, find_transplants, summarise
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments behind the claims; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (about ten minutes of one core).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment yet.
    """
    if scale not in SIZES:
        raise ConfigError(f"thought-branches has no experiment of scale '{scale}': use --scale small")
    started, size = time.perf_counter(), SIZES[scale]
    tables: dict[str, Any] = {
        "known truth": _runs("known truth", known_truth, size, out, progress),
        "hints": _runs("hints", nudged, size, out, progress),
    }
    found: tuple[Claim, ...] = claims.truth_claims(tables["known truth"]) + claims.hint_claims(tables["hints"])
    if path := find_transplants():
        tables["published"] = summarise(path)
        found += claims.published_claims(tables["published"], EXPECTED)
    else:
        tables["published"] = f"not measured: {FILE} of interp-reasoning/thought-branches is not under PILOTHOUSE_DATA"
        progress.say(f"published transplants {tables['published']}")
    path = panels_figure(_panels(tables), out / "claims", title=f"Thought Branches, scale {scale}")
    return Evidence.of("thought-branches", scale, found, tables, path.name, time.perf_counter() - started)


def _runs(
    name: str, work: Callable[[Size, int], dict[str, Any]], size: Size, out: Path, progress: Progress
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for seed in range(size.seeds):
        progress.phase(f"{name}: policy {seed + 1} of {size.seeds}")
        facts = {"size": vars(size), "shape": SHAPE.model_dump(), "seed": seed}
        path = out / "runs" / f"{name.replace(' ', '-')}-seed-{seed}.json"
        found.append(_figures(kept(path, facts, lambda seed=seed: work(size, seed))))
    return found


def _figures(value: Any) -> Any:
    """Return what was kept with NaN where JSON has null."""
    if isinstance(value, dict):
        return {name: _figures(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_figures(inner) for inner in value]
    return float("nan") if value is None else value


def _panels(tables: dict[str, Any]) -> list[Panel]:
    truth, hints = tables["known truth"], tables["hints"]

    def column(name: str) -> Any:
        return over([run[name] for run in truth])

    names = {"CI, fillers": "filler_plain", "CI++, fillers": "filler_strict", "CI, plan": "plan_plain"}
    nats = {label: column(name) for label, name in {**names, "CI++, plan": "plan_strict"}.items()}
    shifts = {arm: column(f"shift {arm}") for arm in ("on-policy", "random", "off-policy")}
    points = {f"p_{at}": over(values) for at, values in enumerate(zip(*(run["curve"] for run in hints), strict=True))}
    return [
        Panel("Chains of known truth", "importance (nats), mean of policies", nats),
        Panel("Interventions", "shift of the rate of yes", shifts, 0.0),
        Panel("Transplants of nudged chains", "rate of the hinted answer after i sentences", points),
    ]
