"""DOT's claim: easy answers stay short and hard ones right; as a table of stop logits, and with a network on sums."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.methods.experiments.arms import Curve, run_trial
from pilothouse.methods.experiments.dot.designs import TRIAL, smoke
from pilothouse.methods.experiments.dot.gsm8k import at_full_size
from pilothouse.methods.experiments.dot.twin import learn
from pilothouse.methods.experiments.measured import claim, figure, mean, over
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval, paired_difference

ALPHAS = (0.0, 1.5, 2.0, 3.0)  #: of the table; 0 is GRPO


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Train with and without truncation at equal sampling cost; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about ten minutes of one core) or "gpu" (a reasoning model).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    if scale == "gpu":
        found, tables, panels = at_full_size(out / "runs", progress)
    else:
        seeds, updates = (2, 5) if scale == "smoke" else (3, 600)
        table = {_name(alpha): _twins(alpha, updates, seeds, out, progress) for alpha in ALPHAS}
        runs = run_trial(smoke() if scale == "smoke" else TRIAL, out / "runs", progress)
        found = (*twin_claims(table), *network_claims(runs))
        tables: dict[str, Any] = {"table of stop logits": table, "sums": runs}
        panels = _panels(table, runs)
    path = panels_figure(panels, out / "claims", title=f"DOT, scale {scale}")
    return Evidence.of("dot", scale, found, tables, path.name, time.perf_counter() - started)


def _twins(alpha: float, updates: int, seeds: int, out: Path, progress: Progress) -> list[dict[str, float]]:
    progress.say(f"table of stop logits: {_name(alpha)}, {seeds} seeds")
    facts = {"alpha": alpha, "updates": updates}
    path = out / "runs" / "table"
    return [
        kept(path / f"{alpha}-{seed}.json", {**facts, "seed": seed}, lambda s=seed: learn(alpha, updates, s))
        for seed in range(seeds)
    ]


def _name(alpha: float) -> str:
    return f"DOT, alpha {alpha:g}" if alpha else "GRPO"


def twin_claims(table: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[Claim, ...]:
    """Return the claim on the table of stop logits.

    Args:
        table: figures by arm, one set a seed.
    """
    ours, base = ([run["easy_length"] for run in table[name]] for name in ("DOT, alpha 1.5", "GRPO"))
    ratio = over([a / b for a, b in zip(ours, base, strict=True)])
    lengths = ", ".join(f"{name} {mean([r['easy_length'] for r in runs]):.2f}" for name, runs in table.items())
    hard = min(run["hard_accuracy"] for runs in table.values() for run in runs)
    note = f"easy length {lengths}; hard accuracy at least {hard:.1%}"
    statement = "table of stop logits: easy length with alpha 1.5 over that of GRPO"
    return (claim(statement, "at most 0.6", ratio, ratio.estimate <= 0.6, "times", note),)


def network_claims(runs: Mapping[str, Sequence[Curve]]) -> tuple[Claim, ...]:
    """Return the claims on the network, at equal sampling cost.

    Args:
        runs: curves by arm, one a seed.
    """
    ours, base = runs["DOT, alpha 1.5"], runs["GRPO"]
    ratio = over([a / b for a, b in zip(figure(ours, "easy_length"), figure(base, "easy_length"), strict=True)])
    mine, theirs = ([100 * x for x in figure(r, "hard_accuracy")] for r in (ours, base))
    gap = paired_difference(mine, theirs)
    length, accuracy = (
        f"start {mean(figure(base, name, 0)):.3g}, "
        + ", ".join(f"{arm} {mean(figure(curves, name)):.3g}" for arm, curves in runs.items())
        for name in ("easy_length", "hard_accuracy")
    )
    return (
        claim(
            "sums: length of easy answers with DOT (alpha 1.5) over that of GRPO, at equal tokens computed in sampling",
            "at most 0.70",
            ratio,
            ratio.estimate <= 0.70,
            "times",
            length,
        ),
        claim(
            "there, accuracy of hard answers with DOT against GRPO",
            "at least -2 points",
            gap,
            gap.estimate >= -2.0,
            "points of accuracy",
            accuracy,
        ),
    )


def _panels(table: Mapping[str, Sequence[Mapping[str, float]]], runs: Mapping[str, Sequence[Curve]]) -> list[Panel]:
    twin = {name: over([run["easy_length"] for run in found]) for name, found in table.items()}
    length: dict[str, Interval] = {"start": over(figure(runs["GRPO"], "easy_length", 0))}
    accuracy: dict[str, Interval] = {"start": over([100 * x for x in figure(runs["GRPO"], "hard_accuracy", 0)])}
    for arm, curves in runs.items():
        length[arm] = over(figure(curves, "easy_length"))
        accuracy[arm] = over([100 * x for x in figure(curves, "hard_accuracy")])
    return [
        Panel("Table of stop logits", "steps on easy problems; 3 would do", twin),
        Panel("Sums: easy answers", "tokens", length),
        Panel("Sums: hard answers", "accuracy (%)", accuracy),
    ]
