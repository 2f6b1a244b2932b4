"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import claim, mean, points
from pilothouse.methods.experiments.particle_scaling.design import Design
from pilothouse.methods.experiments.particle_scaling.measure import Figures
from pilothouse.reports.statistics import paired_difference


def claims(found: Figures, design: Design) -> tuple[Claim, ...]:
    """Return the five claims.

    Args:
        found: every arm's figures.
        design: what was compared.
    """
    last, (n, iters) = design.budgets[-1], design.gibbs
    double = min(16, last)
    return (
        _ahead(found, "particles@8", "best-of-n@8", "at least +15 points", 15.0),
        _ahead(found, "particles@8", f"best-of-n@{double}", "at least 0 points: twice the scaling rate", 0.0),
        _ahead(found, "particles@8", "beam@8", "at least -3 points", -3.0),
        _diverse(found, design),
        _ahead(found, f"gibbs {n}x{iters}", f"particles@{last}", "within 5 points (the paper's null result)", None),
    )


def _ahead(found: Figures, ours: str, theirs: str, bar: str, least: float | None) -> Claim:
    gap = points(found[ours]["accuracy"], found[theirs]["accuracy"])
    passed = abs(gap.estimate) <= 5.0 if least is None else gap.estimate >= least
    note = "; ".join(_arm(found, arm) for arm in (ours, theirs))
    return claim(f"accuracy of {ours} minus {theirs}", bar, gap, passed, "points of accuracy", note)


def _diverse(found: Figures, design: Design) -> Claim:
    ours, theirs = (found[f"misled {name}"]["openings"] for name in ("particles", "beam"))
    more = paired_difference(ours, theirs)
    note = f"particles {mean(ours):.2f}, beam {mean(theirs):.2f}; " + "; ".join(
        _arm(found, f"misled {name}") for name in ("particles", "beam")
    )
    statement = f"different first steps alive at the end, N = {design.mislead}, scores of the first two steps reversed "
    return claim(
        statement + "for half of the openings: particle filter minus beam search",
        "above 0",
        more,
        more.estimate > 0,
        "first steps",
        note,
    )


def _arm(found: Figures, arm: str) -> str:
    accuracy, tokens = mean(found[arm]["accuracy"]), mean(found[arm]["tokens_sampled"])
    return f"{arm} {accuracy:.1%} at {tokens:.0f} sampled tokens a problem"
