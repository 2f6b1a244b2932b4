"""ProGRPO's claim: more distinct right answers and more entropy at the same accuracy."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.methods.experiments.arms import Arm, run_trial
from pilothouse.methods.experiments.full_size import full_size
from pilothouse.methods.experiments.measured import data_folder, figure, over
from pilothouse.methods.experiments.progrpo.claims import FACTORS, diversity_claims, gpu_claims
from pilothouse.methods.experiments.progrpo.designs import DIVERSITY
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress

SEEDS = 3
FULL = {"GRPO": Arm("grpo"), "ProGRPO": Arm("progrpo")}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiment behind ProGRPO's claim; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about six minutes of one core) or "gpu" (GSM8K).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    found, tables, drawn = _gpu(out, progress) if scale == "gpu" else _small(scale, out, progress)
    path = panels_figure(drawn, out / "claims", title=f"ProGRPO, scale {scale}")
    return Evidence.of("progrpo", scale, found, tables, path.name, time.perf_counter() - started)


def _small(scale: str, out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    design = DIVERSITY.smoke() if scale == "smoke" else DIVERSITY
    progress.phase("diversity on a language task")
    runs = run_trial(design, out / "runs", progress)
    step = design.measure_at[-1]
    drawn: list[Panel] = []
    for name, title in (("distinct", "Distinct right answers of 16"), ("entropy", "Entropy"), ("accuracy", "pass@1")):
        values = {arm: over(figure(many, name, step)) for arm, many in runs.items()}
        bar = FACTORS[name][0] * values["clip-higher"].estimate if name in FACTORS else None
        drawn.append(Panel(f"{title}, step {step}", "dashed: the bar", values, bar))
    return diversity_claims(runs, step), {"diversity": runs}, drawn


def _gpu(out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    table = {
        "task": {"name": "gsm8k", "data": data_folder()},
        "policy": {"model": "Qwen/Qwen2.5-1.5B", "rows": 1024},
        "program": {"n": 8},
        "training": {"steps": 150, "prompts": 256, "eval_problems": 300, "eval_samples": 32},
    }
    runs = full_size(FULL, table, SEEDS, out / "runs", progress)
    solved = {arm: over([100 * run.after["sampled"]["solved"] for run in many]) for arm, many in runs.items()}
    curves = {arm: [run.curve("entropy") for run in many] for arm, many in runs.items()}
    return gpu_claims(runs), {"entropy": curves}, [Panel("GSM8K", "pass@32 on held-out problems (%)", solved)]
