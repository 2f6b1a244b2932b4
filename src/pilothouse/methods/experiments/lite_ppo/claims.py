"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.arms import Curve
from pilothouse.methods.experiments.measured import POINTS, claim, figure, mean, over, points
from pilothouse.reports.statistics import paired_difference


def energy_claims(shares: Mapping[str, Sequence[float]]) -> tuple[Claim, ...]:
    """Return the claims on the share of gradient energy that noise gets (takeaway 2).

    Args:
        shares: by credit, the share in each batch.
    """
    bars = {"group std": ("at least 0.7", 0.7, True), "mixed": ("at most 0.05", 0.05, False)}
    bars["no std"] = bars["mixed"]
    claims: list[Claim] = []
    for name, (bar, limit, above) in bars.items():
        share = over(shares[name])
        statement = f"with {name}, the share of sum A^2 on groups that differ in noise alone (success 0.97, noise 0.02)"
        passed = share.estimate >= limit if above else share.estimate <= limit
        claims.append(claim(statement, bar, share, passed, "share of energy"))
    return tuple(claims)


def easy_claims(found: Mapping[str, Sequence[Curve]], step: int) -> tuple[Claim, ...]:
    """Return the claims on easy, noisy data: dropping the std keeps answers diverse at the same accuracy.

    Args:
        found: figures by arm and seed.
        step: the step they are read at.
    """
    distinct = {arm: figure(runs, "distinct", step) for arm, runs in found.items()}
    accuracy = {arm: figure(runs, "accuracy", step) for arm, runs in found.items()}
    excess = paired_difference(distinct["no std"], [1.3 * x for x in distinct["GRPO"]])
    gap = points(accuracy["no std"], accuracy["GRPO"])
    means = ", ".join(f"{arm} {mean(values):.2f}" for arm, values in distinct.items())
    start = figure(found["GRPO"], "accuracy", 0)
    return (
        claim(
            "on easy data with noisy rewards, no std keeps 1.3 times as many distinct right answers of 16 as GRPO",
            "distinct(no std) - 1.3 x distinct(GRPO) at least 0",
            excess,
            excess.estimate >= 0,
            "answers of 16",
            f"distinct right answers: {means}, start {mean(figure(found['GRPO'], 'distinct', 0)):.2f}; ratio of means "
            f"{mean(distinct['no std']) / max(mean(distinct['GRPO']), 1e-9):.2f}",
        ),
        claim(
            "on easy data with noisy rewards, no std is as accurate as GRPO",
            "within 1.5 points",
            gap,
            abs(gap.estimate) <= 1.5,
            POINTS,
            "; ".join(f"{arm} {mean(values):.1%}" for arm, values in accuracy.items())
            + f"; start {min(start):.1%} at the least",
        ),
    )


def length_claims(found: Mapping[str, Sequence[Curve]], step: int) -> tuple[Claim, ...]:
    """Return the claims on aggregation when the longer answers are the better ones (takeaway 5).

    Args:
        found: figures by arm and seed.
        step: the step they are read at.
    """
    accuracy = {arm: figure(runs, "accuracy", step) for arm, runs in found.items()}
    length = {arm: figure(runs, "length", step) for arm, runs in found.items()}
    ahead = points(accuracy["Lite PPO"], accuracy["GRPO"])
    longer = paired_difference(length["Lite PPO"], length["GRPO"])
    same = points(accuracy["mixed, sequence mean"], accuracy["GRPO"])
    start = f"start {mean(figure(found['GRPO'], 'accuracy', 0)):.1%}, "
    return (
        claim(
            f"where longer answers are better, Lite PPO is more accurate than GRPO after {step} steps",
            "mean over seeds at least +1 point",
            ahead,
            ahead.estimate >= 1.0,
            POINTS,
            start + ", ".join(f"{arm} {mean(values):.1%}" for arm, values in accuracy.items()),
        ),
        claim(
            f"there, Lite PPO's responses are longer than GRPO's after {step} steps",
            "mean over seeds at least +0.05 tokens",
            longer,
            longer.estimate >= 0.05,
            "tokens",
            ", ".join(f"{arm} {mean(values):.2f}" for arm, values in length.items()),
        ),
        claim(
            "token-mean explains it: mixed scaling with sequence-mean is like GRPO",
            "within 1 point",
            same,
            abs(same.estimate) <= 1.0,
            POINTS,
        ),
    )


def preset_claims(found: Mapping[str, Sequence[Curve]], step: int) -> tuple[Claim, ...]:
    """Return the claim on presets from a base-like start; no advantage over GRPO is claimed at this size.

    Args:
        found: figures by arm and seed.
        step: the step they are read at.
    """
    accuracy = {arm: figure(runs, "accuracy", step) for arm, runs in found.items()}
    gap = points(accuracy["Lite PPO"], accuracy["GRPO"])
    return (
        claim(
            f"from a base-like start, Lite PPO is not worse than GRPO after {step} steps",
            "mean over seeds at least -3 points",
            gap,
            gap.estimate >= -3.0,
            POINTS,
            f"start {mean(figure(found['GRPO'], 'accuracy', 0)):.1%}, "
            + ", ".join(f"{arm} {mean(values):.1%}" for arm, values in accuracy.items()),
        ),
    )


def gsm8k_claims(accuracy: Mapping[str, Sequence[float]]) -> tuple[Claim, ...]:
    """Return the claims at full size.

    Args:
        accuracy: by method, held-out accuracy of each seed.
    """
    claims: list[Claim] = []
    for rival, bar in (("grpo", 1.0), ("dapo", -1.0)):
        gap = points(accuracy["lite-ppo"], accuracy[rival])
        statement = f"Lite PPO against {rival} on GSM8K with Qwen2.5-0.5B"
        passed = gap.estimate >= bar
        claims.append(claim(statement, f"mean over seeds at least {bar:+g} point", gap, passed, POINTS))
    return tuple(claims)
