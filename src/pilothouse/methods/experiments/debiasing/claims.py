"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import claim, mean, over

#: By method, its figures; one such table a repetition.
Table = Sequence[Mapping[str, Mapping[str, Any]]]


def simulated_claims(found: Table) -> tuple[Claim, ...]:
    """Return the claims on simulated trials.

    Args:
        found: by method, slope and mean absolute error over the trials of a repetition.
    """
    naive, linear, tweedie = (over([run[name]["slope"] for run in found]) for name in ("naive", "linear", "tweedie"))
    share = over([run["tweedie"]["mae"] / run["naive"]["mae"] for run in found])
    gain = over([run["ppi"]["mae"] - run["tweedie"]["mae"] for run in found])
    where = "simulated trials: slope of estimated on true effects"
    maes = ", ".join(
        f"{name} {mean([run[name]['mae'] for run in found]):.3f}" for name in ("naive", "linear", "tweedie", "ppi")
    )
    return (
        claim(f"{where}, predictions as they are", "below 0.70", naive, naive.estimate < 0.70, "slope"),
        claim(f"{where}, linear correction", "0.90 to 1.12", linear, 0.90 <= linear.estimate <= 1.12, "slope"),
        claim(f"{where}, Tweedie's correction", "0.90 to 1.12", tweedie, 0.90 <= tweedie.estimate <= 1.12, "slope"),
        claim(
            "simulated trials: mean absolute error of the effect, Tweedie's / naive",
            "at most 0.35",
            share,
            share.estimate <= 0.35,
            "share",
            f"errors: {maes}",
        ),
        claim(
            "simulated trials: mean absolute error of PPI with 100 labels in every trial, above Tweedie's with none",
            "above 0",
            gain,
            gain.estimate > 0,
            "effect",
        ),
    )


def mixture_claims(found: Sequence[Mapping[str, float]]) -> tuple[Claim, ...]:
    """Return the claims on shrinkage that is no line.

    Args:
        found: by corrector, its largest gap over tenths of the truths; one such table a repetition.
    """
    gap, share = over([run["tweedie"] for run in found]), over([run["tweedie"] / run["linear"] for run in found])
    note = f"linear {mean([run['linear'] for run in found]):.2f}, naive {mean([run['naive'] for run in found]):.2f}"
    where = "mixture of three normals, exact score: largest gap of mean correction and mean truth over tenths of truths"
    return (
        claim(f"{where}, Tweedie's", "at most 0.06", gap, gap.estimate <= 0.06, "outcome", note),
        claim(f"{where}, Tweedie's / linear", "at most 0.15", share, share.estimate <= 0.15, "share"),
    )


def split_claims(found: Table, what: str) -> tuple[Claim, ...]:
    """Return the claims on real data.

    Args:
        found: by method, slope and mean absolute error over the pseudo-trials of a split.
        what: the data.
    """
    claims: list[Claim] = []
    naive = f"naive slope {mean([run['naive']['slope'] for run in found]):.2f}"
    for name in ("linear", "tweedie"):
        slope = over([run[name]["slope"] for run in found])
        share = over([run[name]["mae"] / run["naive"]["mae"] for run in found])
        passed = 0.75 <= slope.estimate <= 1.15
        claims += [
            claim(f"{what}, pseudo-trials: slope of effects, {name}", "0.75 to 1.15", slope, passed, "slope", naive),
            claim(
                f"{what}, pseudo-trials: mean absolute error of the effect, {name} / naive",
                "at most 0.50",
                share,
                share.estimate <= 0.50,
                "share",
            ),
        ]
    return tuple(claims)
