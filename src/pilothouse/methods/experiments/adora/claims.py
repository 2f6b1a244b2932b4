"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.arms import Curve
from pilothouse.methods.experiments.full_size import FullRun
from pilothouse.methods.experiments.measured import claim, figure, mean, over, points
from pilothouse.reports.statistics import paired_difference

#: ADORA for a first stage, which is measured at its end, and GRPO from there on.
STAGED = "ADORA, then GRPO"

Runs = Mapping[str, Sequence[Curve]]


def rare_claims(runs: Runs, controls: Runs, switch: int, last: int) -> tuple[Claim, ...]:
    """Return the claims where long answers are rare at the start.

    Args:
        runs: figures by arm and seed.
        controls: the same of the controls.
        switch: step at which the two-stage arm goes on as GRPO.
        last: the last step.
    """
    length = {arm: figure(many, "length", switch) for arm, many in {**runs, **controls}.items()}
    start = mean(figure(runs["GRPO"], "length", 0))
    longer = paired_difference(length[STAGED], length["GRPO"])
    least = min(a - b for a, b in zip(length[STAGED], length["GRPO"], strict=True))
    accuracy = {arm: mean(figure(many, "accuracy", switch)) for arm, many in {**runs, **controls}.items()}
    halved = paired_difference(length["GRPO, half advantages"], length["GRPO"])
    lengths = f"start {start:.2f}; " + ", ".join(f"{arm} {mean(many):.2f}" for arm, many in length.items())
    return (
        claim(
            f"where long answers are rare, ADORA's responses are longer than GRPO's at step {switch}",
            "mean over seeds at least +1.5 tokens, every seed at least +0.5",
            longer,
            longer.estimate >= 1.5 and least >= 0.5,
            "tokens",
            f"smallest difference of a seed {least:+.2f}; {lengths}; accuracy "
            + ", ".join(f"{arm} {value:.1%}" for arm, value in accuracy.items()),
        ),
        claim(
            f"it is not a matter of step size: GRPO with halved advantages is as long as GRPO at step {switch}",
            "mean over seeds within 0.5 tokens",
            halved,
            abs(halved.estimate) <= 0.5,
            "tokens",
        ),
        *two_stage_claims(runs, switch, last),
    )


def two_stage_claims(runs: Runs, switch: int, last: int) -> tuple[Claim, ...]:
    """Return the claims on ADORA for a first stage and GRPO after it.

    Args:
        runs: figures by arm and seed.
        switch: step at which GRPO takes over.
        last: the last step.
    """
    accuracy = {name: figure(many, "accuracy", last) for name, many in runs.items()}
    gap = points(accuracy[STAGED], accuracy["GRPO"])
    then, now = figure(runs[STAGED], "length", switch), figure(runs[STAGED], "length", last)
    kept = [after for before, after in zip(then, now, strict=True) if before >= 5]
    shortest = over(kept) if kept else over([0.0])
    pairs = ", ".join(f"{before:.2f} to {after:.2f}" for before, after in zip(then, now, strict=True))
    return (
        claim(
            f"ADORA for {switch} steps, then GRPO, is as accurate as GRPO at step {last}",
            "mean over seeds within 2 points",
            gap,
            abs(gap.estimate) <= 2,
            "points of accuracy",
            ", ".join(f"{name} {mean(many):.1%}" for name, many in accuracy.items()),
        ),
        claim(
            f"responses that were long at step {switch} stay long under GRPO: length at step {last}",
            "at least 4.5 tokens in every seed that had 5 at the switch, of which there is one at least",
            shortest,
            bool(kept) and min(kept) >= 4.5,
            "tokens",
            f"seeds: {pairs}",
        ),
    )


def common_claims(runs: Runs, step: int) -> tuple[Claim, ...]:
    """Return the claim where long answers are common at the start, for both rules.

    Args:
        runs: figures by arm and seed.
        step: the step they are read at.
    """
    growth = {
        arm: [b / a for a, b in zip(figure(many, "length", 0), figure(many, "length", step), strict=True)]
        for arm, many in runs.items()
    }
    found: list[Claim] = []
    for arm in ("ADORA", "ADORA, amplify"):
        ratio = over([a / b for a, b in zip(growth[arm], growth["GRPO"], strict=True)])
        accuracy = {name: mean(figure(runs[name], "accuracy", step)) for name in (arm, "GRPO")}
        found.append(
            claim(
                f"where long answers are common, {arm}'s grow more than GRPO's in {step} steps: ratio of the growths",
                "mean over seeds at least 1.05",
                ratio,
                ratio.estimate >= 1.05,
                "ratio",
                f"growth {mean(growth[arm]):.2f} and {mean(growth['GRPO']):.2f}; accuracy "
                + ", ".join(f"{name} {value:.1%}" for name, value in accuracy.items()),
            )
        )
    return tuple(found)


def gpu_claims(runs: Mapping[str, Sequence[FullRun]], switch: int) -> tuple[Claim, ...]:
    """Return the claims at full size.

    Args:
        runs: by arm, a run a seed.
        switch: step at which lengths are compared.
    """
    length = {arm: [run.curve("length")[switch - 1] for run in many] for arm, many in runs.items()}
    ratio = over([a / b for a, b in zip(length["ADORA"], length["GRPO"], strict=True)])
    found = [
        claim(
            f"length of ADORA's responses over GRPO's at step {switch}",
            "mean over seeds at least 1.15",
            ratio,
            ratio.estimate >= 1.15,
            "ratio",
        )
    ]
    accuracy = {arm: [run.after["greedy"]["accuracy"] for run in many] for arm, many in runs.items()}
    for arm, bar in (("ADORA", -3.0), (STAGED, -1.0)):
        gap = points(accuracy[arm], accuracy["GRPO"])
        statement = f"held-out accuracy of {arm} against GRPO"
        found.append(claim(statement, f"mean over seeds at least {bar:+g} points", gap, gap.estimate >= bar, "points"))
    return tuple(found)
