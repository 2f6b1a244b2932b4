"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.arms import Curve
from pilothouse.methods.experiments.full_size import FullRun
from pilothouse.methods.experiments.measured import claim, figure, mean, measured_steps, over, points
from pilothouse.reports.statistics import paired_difference

#: By objective: the bar on the mean probability of the risky arm, and whether it must be above it.
BANDIT = {"mean": (0.9, True), "MVaR, B=1": (0.15, False), "MVaR, B=5": (0.10, False)}


def bandit_claims(shares: Mapping[str, Sequence[float]]) -> tuple[Claim, ...]:
    """Return the claims on what is optimised.

    Args:
        shares: by objective, the risky arm's final probability of every seed.
    """
    found: list[Claim] = []
    for name, (limit, above) in BANDIT.items():
        share = over(shares[name])
        passed = share.estimate >= limit if above else share.estimate <= limit
        bar = f"at {'least' if above else 'most'} {limit:g}"
        statement = f"probability of the risky arm when the objective is {name}"
        found.append(claim(statement, bar, share, passed, "probability"))
    return tuple(found)


def entropy_claims(runs: Mapping[str, Sequence[Curve]], step: int) -> tuple[Claim, ...]:
    """Return the claims of the training experiment, at equal steps.

    Args:
        runs: figures by arm and seed.
        step: the step they are read at.
    """
    entropy = {arm: figure(found, "entropy", step) for arm, found in runs.items()}
    accuracy = {arm: figure(found, "accuracy", step) for arm, found in runs.items()}
    start = figure(runs["RiskPO"], "accuracy", 0)
    excess = paired_difference(entropy["RiskPO"], [1.5 * x for x in entropy["GRPO"]])
    rise = points(accuracy["RiskPO"], start)
    ratio = mean(entropy["RiskPO"]) / max(mean(entropy["GRPO"]), 1e-9)
    return (
        claim(
            f"after {step} steps RiskPO's policy has 1.5 times the token entropy of GRPO's",
            "entropy(RiskPO) - 1.5 x entropy(GRPO) at least 0",
            excess,
            excess.estimate >= 0,
            "nats",
            f"ratio of means {ratio:.2f}; " + ", ".join(f"{arm} {mean(values):.3f}" for arm, values in entropy.items()),
        ),
        claim(
            f"RiskPO's accuracy rises over {step} steps",
            "mean over seeds at least +25 points",
            rise,
            rise.estimate >= 25,
            "points of accuracy",
            f"start {mean(start):.1%}; " + ", ".join(f"{arm} {mean(values):.1%}" for arm, values in accuracy.items()),
        ),
    )


def at_equal_accuracy(runs: Mapping[str, Sequence[Curve]], level: float) -> dict[str, dict[str, float | None]]:
    """Return, by arm, entropy and steps where its mean curve first reaches an accuracy, by linear interpolation.

    Args:
        runs: figures by arm and seed.
        level: the accuracy; an arm that never reaches it has no figures.
    """
    found: dict[str, dict[str, float | None]] = {}
    for arm, seeds in runs.items():
        steps = measured_steps(seeds[0])
        curve = [(step, *(mean(figure(seeds, name, step)) for name in ("accuracy", "entropy"))) for step in steps]
        found[arm] = {"step": None, "entropy": None}
        for (s0, a0, e0), (s1, a1, e1) in pairwise(curve):
            if a0 < level <= a1:
                part = (level - a0) / (a1 - a0)
                found[arm] = {"step": s0 + part * (s1 - s0), "entropy": e0 + part * (e1 - e0)}
                break
    return found


def gpu_claims(runs: Mapping[str, Sequence[FullRun]]) -> tuple[Claim, ...]:
    """Return the claims at full size.

    Args:
        runs: by arm, a run a seed.
    """
    found: list[Claim] = []
    for low, high in (("risk-seeking", "GRPO"), ("GRPO", "RiskPO")):
        ends = {arm: [run.curve("entropy")[99] for run in runs[arm]] for arm in (high, low)}
        gap = paired_difference(ends[high], ends[low])
        statement = f"training entropy of {high} above {low} at step 100"
        found.append(claim(statement, "mean over seeds above 0", gap, gap.estimate > 0, "nats a token"))
    solved = {arm: [run.after["sampled"]["solved"] for run in many] for arm, many in runs.items()}
    gap = points(solved["RiskPO"], solved["GRPO"])
    statement = "pass@16 of RiskPO against GRPO on held-out problems"
    return (*found, claim(statement, "mean over seeds at least 0", gap, gap.estimate >= 0, "points"))
