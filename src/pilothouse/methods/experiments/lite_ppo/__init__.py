"""Lite PPO's claim: four experiments that take minutes on a CPU, and the full size for a GPU."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.lite_ppo import LitePPO
from pilothouse.credit.normalized import Normalized
from pilothouse.methods.experiments.arms import run_trial
from pilothouse.methods.experiments.lite_ppo import claims
from pilothouse.methods.experiments.lite_ppo.amplification import noise_energy
from pilothouse.methods.experiments.lite_ppo.designs import EASY, LENGTH, PRESETS
from pilothouse.methods.experiments.lite_ppo.gsm8k import run_gsm8k
from pilothouse.methods.experiments.lite_ppo.panels import panels
from pilothouse.methods.experiments.measured import over
from pilothouse.reports.figures import panels_figure
from pilothouse.reports.progress import Progress

CREDITS: dict[str, Credit] = {"group std": GRPO(), "mixed": LitePPO(), "no std": Normalized(std="none")}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the experiments behind Lite PPO's takeaways 2, 3, 5 and 7; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about ten minutes of two cores) or "gpu" (GSM8K).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    found, tables = _full_size(out, progress) if scale == "gpu" else _small(scale, out, progress)
    path = panels_figure(panels(tables), out / "claims", title=f"Lite PPO, scale {scale}")
    return Evidence.of("lite-ppo", scale, found, tables, path.name, time.perf_counter() - started)


def amplification(batches: int, credits: Mapping[str, Credit] = CREDITS) -> tuple[tuple[Claim, ...], dict[str, Any]]:
    """Return the claims of the first experiment and its figures, also at a success chance of 0.90.

    Args:
        batches: random batches.
        credits: what is put to the test, by the names "group std", "mixed" and "no std".
    """
    seeds = SeedTree(0) / "amplification"
    shares = {success: noise_energy(credits, success, 0.02, batches, seeds / str(success)) for success in (0.97, 0.9)}
    table = {
        f"success {success:.2f}": {name: over(values).to_dict() for name, values in found.items()}
        for success, found in shares.items()
    }
    return claims.energy_claims(shares[0.97]), table


def _small(scale: str, out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any]]:
    progress.phase("takeaway 2: what dividing by the std amplifies")
    found, energy = amplification(20 if scale == "smoke" else 1000)
    tables: dict[str, Any] = {"amplification": energy}
    judges = ((LENGTH, claims.length_claims), (EASY, claims.easy_claims), (PRESETS, claims.preset_claims))
    for design, judge in judges:
        sized = design.smoke() if scale == "smoke" else design
        progress.phase(f"experiment: {sized.name}")
        tables[sized.name] = run_trial(sized, out / "runs", progress)
        found += judge(tables[sized.name], sized.measure_at[-1])
    return found, tables


def _full_size(out: Path, progress: Progress) -> tuple[tuple[Claim, ...], dict[str, Any]]:
    accuracy = run_gsm8k(out / "runs", progress)
    return claims.gsm8k_claims(accuracy), {"accuracy": accuracy}
