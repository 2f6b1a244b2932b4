"""T-PPO's claim: how busy decoding slots are, and accuracy by lock-step decode steps, on answers of uneven length."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.methods.experiments.arms import Arm
from pilothouse.methods.experiments.full_size import full_size
from pilothouse.methods.experiments.measured import data_folder, over
from pilothouse.methods.experiments.t_ppo.claims import (
    LEVEL,
    gpu_claims,
    learning_claims,
    summary,
    utilisation_claims,
)
from pilothouse.methods.experiments.t_ppo.count_on import CountOn
from pilothouse.methods.experiments.t_ppo.design import WARM, WINDOW, Design, Run, run_design
from pilothouse.methods.experiments.t_ppo.ideal import right_slot_use
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress

SMOKE = Design(
    budget={"A": 16, "B": 16},
    every=8,
    problems=4,
    seeds=2,
    slots=4,
    warmup=1,
    warm=WARM.model_copy(update={"epochs": 0.5}),
    lessons=100,
)
FULL = {"PPO": Arm("t-ppo", {"training": {"window": 1024}}), "T-PPO": Arm("t-ppo", {"training": {"window": 256}})}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments behind T-PPO's claims; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about a quarter of an hour of one core) or "gpu" (GSM8K).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    if scale == "gpu":
        found, tables, drawn = _gpu(out, progress)
    else:
        design = SMOKE if scale == "smoke" else Design()
        right = always_right(20 if scale == "smoke" else 1000, design.slots)
        runs = run_design(design, out / "runs", progress)
        found = utilisation_claims(runs) + learning_claims(runs["B"])
        raw = {
            tail: {name: [asdict(run) for run in many] for name, many in arms.items()} for tail, arms in runs.items()
        }
        tables, drawn = {"always right": right, "means": summary(runs), "runs": raw}, _panels(runs)
    path = panels_figure(drawn, out / "claims", title=f"T-PPO, scale {scale}")
    return Evidence.of("t-ppo", scale, found, tables, path.name, time.perf_counter() - started)


def always_right(steps: int, slots: int) -> dict[str, dict[str, float]]:
    """Return slot use by tail and window for a policy that is always right; "whole" is synchronous PPO.

    Args:
        steps: lock-step decode steps to count over.
        slots: responses under way.
    """
    windows = {"4": 4, "8": WINDOW, "12": 12}
    return {
        tail: {
            name: right_slot_use(task, window, steps, 0, slots)
            for name, window in {**windows, "whole": task.limit}.items()
        }
        for tail, task in ((tail, CountOn(tail=tail)) for tail in ("A", "B"))
    }


def _panels(found: Mapping[str, Mapping[str, list[Run]]]) -> list[Panel]:
    panels: list[Panel] = []
    for tail, runs in found.items():
        use = {name: over([run.slot_use for run in many]) for name, many in runs.items()}
        level = LEVEL[tail]
        took = {name: over([run.reached(level) for run in many]) for name, many in runs.items()}
        panels.append(Panel(f"Slot use, tail {tail}", "tokens a slot and decode step", use))
        panels.append(Panel(f"Decode steps to {level:.0%}, tail {tail}", "the whole budget where never reached", took))
    return panels


def _gpu(out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    """GSM8K at equal decode steps: a window of a quarter of the limit takes four times as many training steps."""
    table = {
        "task": {"name": "gsm8k", "data": data_folder(), "max_tokens": 1024},
        "policy": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "rows": 256},
        "training": {"steps": 200, "prompts": 256, "minibatches": 4, "eval_problems": 1319},
    }
    runs = full_size(FULL, table, 3, out / "runs", progress)
    seconds = {arm: over([sum(run.curve("seconds")) for run in many]) for arm, many in runs.items()}
    curves = {arm: [run.curve("reward") for run in many] for arm, many in runs.items()}
    return gpu_claims(runs), {"reward": curves}, [Panel("GSM8K", "seconds of training", seconds)]
