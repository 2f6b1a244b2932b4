"""RiskPO's claim: a bandit where risk and mean disagree, a language task where entropy is measured, and full size."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.riskpo import RiskPO
from pilothouse.methods.experiments.arms import Arm, Curve, run_trial
from pilothouse.methods.experiments.full_size import full_size
from pilothouse.methods.experiments.measured import data_folder, figure, over
from pilothouse.methods.experiments.riskpo.bandit import risky_share
from pilothouse.methods.experiments.riskpo.claims import (
    BANDIT,
    at_equal_accuracy,
    bandit_claims,
    entropy_claims,
    gpu_claims,
)
from pilothouse.methods.experiments.riskpo.designs import ENTROPY
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress

SEEDS = 3
FULL = {
    "GRPO": Arm("grpo"),
    "RiskPO": Arm("riskpo"),
    "risk-seeking": Arm("riskpo", {"credit": {"measure": "risk-seeking"}}),
}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments behind RiskPO's claims; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about ten minutes of one core) or "gpu" (GSM8K).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    found, tables, drawn = _gpu(out, progress) if scale == "gpu" else _small(scale, out, progress)
    path = panels_figure(drawn, out / "claims", title=f"RiskPO, scale {scale}")
    return Evidence.of("riskpo", scale, found, tables, path.name, time.perf_counter() - started)


def objectives(seed: int) -> dict[str, Credit]:
    """Return the bandit's objectives by name."""
    return {
        "mean": DrGRPO(),
        "MVaR, B=1": RiskPO(bundle_size=1, omega=0.5, seed=seed),
        "MVaR, B=5": RiskPO(bundle_size=5, omega=2.0, seed=seed),
    }


def bandit(steps: int, folder: Path, progress: Progress) -> dict[str, list[float]]:
    """Return, by objective, the risky arm's final probability of every seed.

    Args:
        steps: gradient steps.
        folder: keeps a file for each finished run.
        progress: shows what happens.
    """
    shares: dict[str, list[float]] = {name: [] for name in BANDIT}
    for seed in range(SEEDS):
        for name, credit in objectives(seed).items():
            progress.say(f"bandit: seed {seed + 1} of {SEEDS}, {name}")
            node = SeedTree(seed) / "bandit"
            facts = {"credit": credit.model_dump(mode="json"), "steps": steps, "seed": seed}
            path = folder / f"bandit-seed-{seed}-{name.replace(', ', '-')}.json"
            cell = kept(path, facts, lambda c=credit, n=node: {"share": risky_share(c, steps, n)})
            shares[name].append(cell["share"])
    return shares


def _small(scale: str, out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    progress.phase("what is optimised: a bandit")
    shares = bandit(20 if scale == "smoke" else 2000, out / "runs", progress)
    design = ENTROPY.smoke() if scale == "smoke" else ENTROPY
    progress.phase("entropy on a language task")
    runs = run_trial(design, out / "runs", progress)
    step = design.measure_at[-1]
    equal = {f"{level:.2f}": at_equal_accuracy(runs, level) for level in (0.5, 0.55, 0.6, 0.65, 0.7)}
    found = bandit_claims(shares) + entropy_claims(runs, step)
    return found, {"bandit": shares, "entropy": runs, "at equal accuracy": equal}, _panels(shares, runs, step)


def _panels(shares: Mapping[str, list[float]], runs: Mapping[str, list[Curve]], step: int) -> list[Panel]:
    entropy, accuracy = (
        {arm: over(figure(found, name, step)) for arm, found in runs.items()} for name in ("entropy", "accuracy")
    )
    bar = 1.5 * entropy["GRPO"].estimate
    risky = {name: over(values) for name, values in shares.items()}
    return [
        Panel("Bandit: risky arm", "final probability", risky, 0.15),
        Panel(f"Token entropy, step {step}", "nats; RiskPO's bar: 1.5 x GRPO", entropy, bar),
        Panel(f"Accuracy, step {step}", "share of right answers", accuracy),
    ]


def _gpu(out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any], list[Panel]]:
    table = {
        "task": {"name": "gsm8k", "data": data_folder()},
        "policy": {"model": "Qwen/Qwen2.5-0.5B-Instruct", "rows": 1024},
        "program": {"n": 5},
        "training": {"steps": 200, "prompts": 255, "minibatches": 2, "eval_problems": 500, "eval_samples": 16},
    }
    runs = full_size(FULL, table, SEEDS, out / "runs", progress)
    found = gpu_claims(runs)
    solved = {arm: over([100 * run.after["sampled"]["solved"] for run in many]) for arm, many in runs.items()}
    curves = {arm: [run.curve("entropy") for run in many] for arm, many in runs.items()}
    return found, {"entropy": curves}, [Panel("GSM8K", "pass@16 on held-out problems (%)", solved)]
