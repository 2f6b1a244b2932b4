"""From figures to claims: every bar was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.ebt_policy.arms import ENERGY, EQUAL, LONGER
from pilothouse.methods.experiments.measured import claim, mean, over, points

POINTS = "points of success"

#: By arm, what each of its trainings came to.
Found = Mapping[str, Sequence[Mapping[str, Any]]]


def successes(found: Found, arm: str, sampler: str) -> list[float]:
    """Return the success of every training of an arm under a sampler."""
    return [run["samplers"][sampler]["success"] for run in found[arm]]


def success_claims(found: Found) -> tuple[Claim, ...]:
    """Return the claims on success.

    Args:
        found: what the arms came to.
    """
    two, four, twenty = (successes(found, ENERGY, f"EBT, {k} steps") for k in (2, 4, 20))
    long, short = successes(found, LONGER, "DDPM-100"), successes(found, EQUAL, "DDPM-100")
    hasty = successes(found, LONGER, "DDIM-2")
    pairs = (
        ("energy at 4 steps above DDPM-100 at 4 times the updates", -5.0, four, long),
        ("energy at 2 steps above DDIM-2 at 4 times the updates", 20.0, two, hasty),
        ("energy at 2 steps above DDPM-100 at equal updates", 15.0, two, short),
    )
    gaps = [(what, bar, points(a, b), f"{mean(a):.1%} and {mean(b):.1%}") for what, bar, a, b in pairs]
    settled = points(four, twenty)
    return (
        *(
            claim(
                f"success, {what}", f"mean over seeds at least {bar:g} points", gap, gap.estimate >= bar, POINTS, note
            )
            for what, bar, gap, note in gaps
        ),
        claim(
            "success, energy at 4 steps above 20 steps: it has arrived",
            "mean over seeds within 10 points of 0",
            settled,
            abs(settled.estimate) <= 10.0,
            POINTS,
            f"{mean(four):.1%} and {mean(twenty):.1%}",
        ),
    )


def energy_claims(signals: Sequence[Mapping[str, Any]], times: Sequence[Mapping[str, float]]) -> tuple[Claim, ...]:
    """Return the claims on descents, latency and energies as signals.

    Args:
        signals: one a seed, see ``signal_figures``.
        times: one a seed, see ``latencies``.
    """
    fell, rank = over([s["fell"] for s in signals]), over([s["rank"] for s in signals])
    shifted = over([s["auc"]["shifted"] for s in signals])
    ratio = over([t["EBT, 2 steps"] / t["DDPM-100"] for t in times])
    ms = {name: mean([t[name] for t in times]) for name in times[0]}
    path = [mean([s["energies"][i] for s in signals]) for i in range(len(signals[0]["energies"]))]
    noisy = mean([s["auc"]["noisy"] for s in signals])
    return (
        claim(
            "states whose energy is lower at the last of 6 steps than at the first",
            "at least 0.95",
            fell,
            fell.estimate >= 0.95,
            "share",
            "mean energies " + ", ".join(f"{e:.3f}" for e in path),
        ),
        claim(
            "time of a plan, energy at 2 steps / DDPM-100",
            "at most 0.1",
            ratio,
            ratio.estimate <= 0.1,
            "ratio",
            ", ".join(f"{name} {value:.1f} ms" for name, value in ms.items()),
        ),
        claim(
            "final energy tells states with the thing moved out of range from those of training (AUROC)",
            "at least 0.65",
            shifted,
            shifted.estimate >= 0.65,
            "AUROC",
            f"observation noise {noisy:.2f}, not judged",
        ),
        claim(
            "rank correlation of final energy and squared error of the chunk, states like training",
            "at least 0.3",
            rank,
            rank.estimate >= 0.3,
            "Spearman",
        ),
    )
