"""D3S's claim: a third of the tokens, chosen well, against a third by lot and against all of them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from pilothouse.core.cards import Claim, Evidence
from pilothouse.methods.experiments.arms import Curve, run_trial
from pilothouse.methods.experiments.d3s.designs import TRIAL, smoke
from pilothouse.methods.experiments.d3s.gsm8k import at_full_size
from pilothouse.methods.experiments.measured import claim, figure, mean, measured_steps, over
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval, paired_difference

POINTS = "points of accuracy"
TARGET = 0.70  #: the accuracy whose price in trained tokens is compared


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Train with the whole batch, with D3S and with as many tokens chosen by lot; finished runs are read back.

    Args:
        scale: "smoke" (seconds, no verdict), "small" (about ten minutes of one core) or "gpu" (GSM8K).
        out: folder for the evidence, its figure and every finished run.
        progress: shows what happens.
    """
    started = time.perf_counter()
    if scale == "gpu":
        found, tables, panels = at_full_size(out / "runs", progress)
    else:
        trial = smoke() if scale == "smoke" else TRIAL
        runs = run_trial(trial, out / "runs", progress)
        early, late = trial.measure_at[len(trial.measure_at) // 3], trial.measure_at[-1]
        found, tables, panels = toy_claims(runs, early, late), {"expressions": runs}, toy_panels(runs, late)
    path = panels_figure(panels, out / "claims", title=f"D3S, scale {scale}")
    return Evidence.of("d3s", scale, found, tables, path.name, time.perf_counter() - started)


def toy_claims(runs: Mapping[str, Sequence[Curve]], early: int, late: int) -> tuple[Claim, ...]:
    """Return the claims of the toy experiment.

    Args:
        runs: curves by arm, one a seed.
        early: the earlier step that accuracy is read at.
        late: the later one.
    """
    chosen, lot, full = (runs[name] for name in ("D3S strong", "random strong", "full batch"))
    found: list[Claim] = []
    for step, bar in ((early, 5.0), (late, 4.0)):
        ahead = points(chosen, lot, step)
        note = ", ".join(f"{name} {mean(figure(curves, 'accuracy', step)):.1%}" for name, curves in runs.items())
        statement = f"D3S (episodes 0.3 to 0.6, tokens 0.5 to 1) against as many chosen by lot, step {step}"
        passed = ahead.estimate >= bar
        found.append(claim(statement, f"mean over seeds at least +{bar:g} points", ahead, passed, POINTS, note))
    behind = points(chosen, full, late)
    shares = [a / b for a, b in zip(*(figure(r, "trained_tokens", late) for r in (chosen, full)), strict=True)]
    statement = f"D3S against the whole batch, step {late}, on at most 40 % of its back-propagated tokens"
    passed = behind.estimate >= -3.0 and mean(shares) <= 0.4
    bar = "at least -3 points, and at most 40 % of the tokens"
    found.append(claim(statement, bar, behind, passed, POINTS, f"share of tokens {mean(shares):.1%}"))
    return (*found, _price(chosen, full))


def _price(chosen: Sequence[Curve], full: Sequence[Curve]) -> Claim:
    """Compare the tokens back-propagated until the target accuracy, over seeds where both reach it."""
    pairs = [(tokens_to(a), tokens_to(b)) for a, b in zip(full, chosen, strict=True)]
    ratios = [a / b for a, b in pairs if a is not None and b is not None]
    measured = over(ratios) if ratios else Interval(float("nan"), float("nan"), float("nan"), 0.0, 0)
    reached = f"both reach it on {len(ratios)} of {len(pairs)} seeds"
    statement = f"tokens back-propagated until {TARGET:.0%} accuracy, whole batch over D3S; {reached}"
    return claim(statement, "mean over those seeds at least 1.8", measured, measured.estimate >= 1.8, "times")


def tokens_to(curve: Curve, target: float = TARGET) -> float | None:
    """Return the tokens back-propagated when a measured accuracy first reaches the target; ``None`` if it never does.

    Args:
        curve: a run.
        target: the accuracy.
    """
    for step in measured_steps(curve):
        if curve[str(step)]["accuracy"] >= target:
            return curve[str(step)]["trained_tokens"]
    return None


def toy_panels(runs: Mapping[str, Sequence[Curve]], late: int) -> list[Panel]:
    """Return the figure's panels: accuracy at the end, and what it cost in tokens.

    Args:
        runs: curves by arm.
        late: the step they are read at.
    """
    accuracy = {arm: over([100 * x for x in figure(curves, "accuracy", late)]) for arm, curves in runs.items()}
    tokens = {arm: over([x / 1000 for x in figure(curves, "trained_tokens", late)]) for arm, curves in runs.items()}
    return [
        Panel(f"Expressions, step {late}", "accuracy (%), mean over seeds", accuracy),
        Panel("What it was learnt from", "back-propagated tokens (thousands)", tokens),
    ]


def points(a: Sequence[Curve], b: Sequence[Curve], step: int) -> Interval:
    """Return the paired difference of two arms' accuracies in percentage points.

    Args:
        a: an arm's runs.
        b: another's, of the same seeds.
        step: the step they are read at.
    """
    mine, theirs = ([100 * x for x in figure(curves, "accuracy", step)] for curves in (a, b))
    return paired_difference(mine, theirs)
