"""HBPO's claim: long answers stay within reach and go where they help; as a table of stop logits, and on sums."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilothouse.core.cards import Claim, Evidence
from pilothouse.methods.experiments.arms import Curve, run_trial
from pilothouse.methods.experiments.hbpo.designs import BUDGETS, TRIAL, smoke
from pilothouse.methods.experiments.hbpo.gsm8k import at_full_size
from pilothouse.methods.experiments.hbpo.twin import ARMS, learn
from pilothouse.methods.experiments.measured import claim, mean, over
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import paired_difference

#: One arm's figures, a set a seed.
Runs = Sequence[Mapping[str, float]]


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Train with correctness alone, with shorter-is-better and with budgets; what is finished is not run again.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about ten minutes of one core) or "gpu" (a reasoning model).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    if scale == "gpu":
        found, tables, panels = at_full_size(out / "runs", progress)
    else:
        seeds, updates = (2, 4) if scale == "smoke" else (3, 400)
        table = {arm: _twins(arm, updates, seeds, out, progress) for arm in ARMS}
        runs = run_trial(smoke() if scale == "smoke" else TRIAL, out / "runs", progress)
        ends = {arm: [_end(curve) for curve in curves] for arm, curves in runs.items()}
        found = (*budget_claims("table of stop logits", table, 5.0, 4.0, 0.6), *network_claims(ends))
        tables: dict[str, Any] = {"table of stop logits": table, "sums": runs}
        panels = _panels(table, ends)
    path = panels_figure(panels, out / "claims", title=f"HBPO, scale {scale}")
    return Evidence.of("hbpo", scale, found, tables, path.name, time.perf_counter() - started)


def _end(curve: Curve) -> dict[str, float]:
    return {**curve["last"], "length_std": curve["last"]["group_length_std"]}


def _twins(arm: str, updates: int, seeds: int, out: Path, progress: Progress) -> list[dict[str, float]]:
    progress.say(f"table of stop logits: {arm}, {seeds} seeds")
    credit, budgets = ARMS[arm]
    facts = {"credit": credit.model_dump(mode="json"), "budgets": budgets, "updates": updates}
    folder = out / "runs" / "table"
    return [
        kept(folder / f"{arm}-{seed}.json", {**facts, "seed": seed}, lambda s=seed: learn(ARMS[arm], updates, s))
        for seed in range(seeds)
    ]


def budget_claims(
    where: str, runs: Mapping[str, Runs], spread: float, accuracy: float, briefly: float
) -> tuple[Claim, ...]:
    """Return the three claims that table and network share.

    Args:
        where: what was trained.
        runs: figures by arm, one set a seed.
        spread: bar on the spread of lengths, as a multiple of that of "cosine".
        accuracy: bar on hard accuracy above "cosine", in points.
        briefly: bar on easy length under the smallest budget, as a multiple of that of "classic".
    """

    def ratio(arm: str, name: str, base: str, other: str) -> list[float]:
        return [mine[name] / max(rival[other], 1e-9) for mine, rival in zip(runs[arm], runs[base], strict=True)]

    wide = over(ratio("HBPO", "length_std", "cosine", "length_std"))
    ours, cosine = ([100 * run["hard_accuracy"] for run in runs[arm]] for arm in ("HBPO", "cosine"))
    ahead = paired_difference(ours, cosine)
    short = over(ratio("HBPO", f"easy_length, budget {min(BUDGETS)}", "classic", "easy_length"))
    notes = {
        name: ", ".join(f"{arm} {mean([run[name] for run in found]):.3g}" for arm, found in runs.items())
        for name in ("length_std", "hard_accuracy", "easy_length")
    }
    return (
        claim(
            f"{where}: std of lengths within a group, second half of training, HBPO over cosine",
            f"at least {spread:g}",
            wide,
            wide.estimate >= spread,
            "times",
            notes["length_std"],
        ),
        claim(
            f"{where}: accuracy of hard answers, told no budget, HBPO against cosine",
            f"at least +{accuracy:g} points",
            ahead,
            ahead.estimate >= accuracy,
            "points of accuracy",
            notes["hard_accuracy"],
        ),
        claim(
            f"{where}: length of easy answers, HBPO told the smallest budget over classic",
            f"at most {briefly:g}",
            short,
            short.estimate <= briefly,
            "times",
            notes["easy_length"],
        ),
    )


def network_claims(ends: Mapping[str, Runs]) -> tuple[Claim, ...]:
    """Return the claims on the network.

    Args:
        ends: figures by arm at the end, one set a seed.
    """
    adaptive = over([run["hard_length"] / run["easy_length"] for run in ends["HBPO"]])
    lengths = ", ".join(
        f"{arm} {mean([r['easy_length'] for r in runs]):.1f} and {mean([r['hard_length'] for r in runs]):.1f}"
        for arm, runs in ends.items()
    )
    last = claim(
        "sums: length of hard answers over easy ones, HBPO told no budget",
        "at least 1.3",
        adaptive,
        adaptive.estimate >= 1.3,
        "times",
        f"easy and hard: {lengths}",
    )
    return (*budget_claims("sums", ends, 3.0, 3.0, 0.75), last)


def _panels(table: Mapping[str, Runs], ends: Mapping[str, Runs]) -> list[Panel]:
    drawn: list[Panel] = []
    for title, runs in (("Table of stop logits", table), ("Sums", ends)):
        spread = {arm: over([run["length_std"] for run in found]) for arm, found in runs.items()}
        hard = {arm: over([100 * run["hard_accuracy"] for run in found]) for arm, found in runs.items()}
        drawn += [
            Panel(f"{title}: lengths within a group", "std (tokens)", spread),
            Panel(f"{title}: hard answers, no budget told", "accuracy (%)", hard),
        ]
    return drawn
