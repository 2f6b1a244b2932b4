"""ADORA's claims: longer answers where they pay, what explains it, what it costs, and full size."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.methods.experiments.adora.claims import common_claims, gpu_claims, rare_claims
from pilothouse.methods.experiments.adora.designs import COMMON, CONTROLS, RARE, SWITCH
from pilothouse.methods.experiments.arms import Arm, run_trial
from pilothouse.methods.experiments.full_size import full_size
from pilothouse.methods.experiments.measured import figure, over
from pilothouse.methods.experiments.toy_trials import ToyTrial
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress

SEEDS = 3
FULL = {
    "GRPO": Arm("grpo"),
    "ADORA": Arm("adora"),
    "ADORA, then GRPO": Arm("adora", {"credit": {"end": SWITCH}}),
}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments behind ADORA's claims; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about twelve minutes of one core) or "gpu" (Knights and Knaves).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    found, tables, drawn = _gpu(out, progress) if scale == "gpu" else _small(scale, out, progress)
    path = panels_figure(drawn, out / "claims", title=f"ADORA, scale {scale}")
    return Evidence.of("adora", scale, found, tables, path.name, time.perf_counter() - started)


def _small(scale: str, out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    def runs_of(design: ToyTrial) -> Any:
        progress.phase(f"experiment: {design.name}")
        return run_trial(design.smoke() if scale == "smoke" else design, out / "runs", progress)

    rare, controls, common = runs_of(RARE), runs_of(CONTROLS), runs_of(COMMON)
    switch, last, early = (1, 1, 1) if scale == "smoke" else (SWITCH, RARE.measure_at[-1], COMMON.measure_at[-1])
    found = rare_claims(rare, controls, switch, last) + common_claims(common, early)
    shown = {"long answers are rare": (rare | controls, switch), "two stages": (rare, last)}
    drawn = [
        Panel(f"{title}, step {step}", "tokens a response", _lengths(runs, step))
        for title, (runs, step) in {**shown, "long answers are common": (common, early)}.items()
    ]
    accuracy = {arm: over(figure(many, "accuracy", last)) for arm, many in rare.items()}
    drawn.append(Panel(f"long answers are rare, step {last}", "share of right answers", accuracy))
    return found, {"rare": rare, "controls": controls, "common": common}, drawn


def _lengths(runs: Any, step: int) -> dict[str, Any]:
    return {arm: over(figure(many, "length", step)) for arm, many in runs.items()}


def _gpu(out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    table = {
        "task": {"name": "knights-and-knaves", "people": 4},
        "policy": {"model": "Qwen/Qwen2.5-1.5B-Instruct", "rows": 512},
        "program": {"n": 8},
        "training": {"steps": 200, "prompts": 64, "eval_problems": 500},
    }
    runs = full_size(FULL, table, SEEDS, out / "runs", progress)
    curves = {arm: [run.curve("length") for run in many] for arm, many in runs.items()}
    ends = {arm: over([curve[SWITCH - 1] for curve in many]) for arm, many in curves.items()}
    drawn = [Panel(f"Knights and Knaves, step {SWITCH}", "tokens a response", ends)]
    return gpu_claims(runs, SWITCH), {"length": curves}, drawn
