"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.arms import Curve
from pilothouse.methods.experiments.full_size import FullRun
from pilothouse.methods.experiments.measured import claim, figure, mean, points
from pilothouse.reports.statistics import paired_difference

#: By figure: how many times the matched baseline's ProGRPO must reach, and its unit.
FACTORS = {"distinct": (1.2, "answers of 16"), "entropy": (1.25, "nats a token")}


def diversity_claims(runs: Mapping[str, Sequence[Curve]], step: int) -> tuple[Claim, ...]:
    """Return the claims of the training experiment, at equal steps and episodes.

    Args:
        runs: figures by arm and seed.
        step: the step they are read at.
    """
    found: list[Claim] = []
    for name, (factor, unit) in FACTORS.items():
        values = {arm: figure(many, name, step) for arm, many in runs.items()}
        excess = paired_difference(values["ProGRPO"], [factor * x for x in values["clip-higher"]])
        ratio = mean(values["ProGRPO"]) / max(mean(values["clip-higher"]), 1e-9)
        found.append(
            claim(
                f"after {step} steps ProGRPO's {name} is {factor:g} times that of the same loss without it",
                f"{name}(ProGRPO) - {factor:g} x {name}(clip-higher) at least 0",
                excess,
                excess.estimate >= 0,
                unit,
                f"ratio of means {ratio:.2f}; " + ", ".join(f"{arm} {mean(many):.3f}" for arm, many in values.items()),
            )
        )
    accuracy = {arm: figure(many, "accuracy", step) for arm, many in runs.items()}
    gap = points(accuracy["ProGRPO"], accuracy["clip-higher"])
    return (
        *found,
        claim(
            f"after {step} steps ProGRPO's pass@1 is not lower",
            "mean over seeds at least -4 points",
            gap,
            gap.estimate >= -4,
            "points of accuracy",
            f"start {mean(figure(runs['GRPO'], 'accuracy', 0)):.1%}; "
            + ", ".join(f"{arm} {mean(many):.1%}" for arm, many in accuracy.items()),
        ),
    )


def gpu_claims(runs: Mapping[str, Sequence[FullRun]]) -> tuple[Claim, ...]:
    """Return the claims at full size.

    Args:
        runs: by arm, a run a seed.
    """
    found: list[Claim] = []
    for name, words, bar in (("solved", "pass@32", 3.0), ("accuracy", "pass@1", -1.0)):
        values = {arm: [run.after["sampled"][name] for run in many] for arm, many in runs.items()}
        gap = points(values["ProGRPO"], values["GRPO"])
        statement = f"{words} of ProGRPO on held-out problems against GRPO"
        found.append(claim(statement, f"mean over seeds at least {bar:+g} points", gap, gap.estimate >= bar, "points"))
    return tuple(found)
