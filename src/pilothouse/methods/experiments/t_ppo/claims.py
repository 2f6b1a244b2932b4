"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.full_size import FullRun
from pilothouse.methods.experiments.measured import POINTS, claim, mean, over, points
from pilothouse.methods.experiments.t_ppo.design import Run

UTILISATION = {"A": 1.7, "B": 2.5}  #: least ratio of slot use, by tail
LEVEL = {"A": 0.85, "B": 0.90}  #: accuracy that runs are timed to, by tail
OURS, TUNED = "T-PPO x4", ("PPO x4", "PPO x8")


def utilisation_claims(found: Mapping[str, Mapping[str, Sequence[Run]]]) -> tuple[Claim, ...]:
    """Return the claims on how busy the slots are, each tail's first truncated variant against synchronous PPO.

    Args:
        found: by tail and variant, a run a seed.
    """
    made: list[Claim] = []
    for tail, runs in found.items():
        ours = next(name for name in runs if name.startswith("T-PPO"))
        theirs = next(name for name in runs if name.startswith("PPO"))
        use = [[run.slot_use for run in runs[name]] for name in (ours, theirs)]
        ratio = over([a / b for a, b in zip(*use, strict=True)])
        bar = UTILISATION[tail]
        made.append(
            claim(
                f"tokens a slot and decode step of T-PPO (windows of 8), over synchronous PPO's, tail {tail}",
                f"at least {bar}",
                ratio,
                ratio.estimate >= bar,
                "ratio",
                f"{ours} {mean(use[0]):.3f}, {theirs} {mean(use[1]):.3f}",
            )
        )
    return tuple(made)


def learning_claims(runs: Mapping[str, Sequence[Run]]) -> tuple[Claim, ...]:
    """Return the claims on learning on tail B, against the better of two numbers of minibatches for synchronous PPO.

    Args:
        runs: by variant, a run a seed.
    """
    level = LEVEL["B"]
    took = {name: [run.reached(level) for run in many] for name, many in runs.items()}
    best = [min(pair) for pair in zip(*(took[name] for name in TUNED), strict=True)]
    ratio = over([a / b for a, b in zip(took[OURS], best, strict=True)])
    ends = {name: [run.probes[-1] for run in many] for name, many in runs.items()}
    final = max(TUNED, key=lambda name: mean(ends[name]))
    gap = points(ends[OURS], ends[final])
    unreached = ", ".join(
        f"{name} not in {n}" for name in (OURS, *TUNED) if (n := sum(not _made(r, level) for r in runs[name]))
    )
    return (
        claim(
            f"decode steps until T-PPO is right {level:.0%} of the time, over tuned synchronous PPO's, tail B",
            "at most 0.75",
            ratio,
            ratio.estimate <= 0.75,
            "ratio",
            "; ".join(f"{name} {', '.join(f'{x:.0f}' for x in took[name])}" for name in (OURS, *TUNED))
            + (f"; seeds that never were, counted as the whole budget: {unreached}" if unreached else ""),
        ),
        claim(
            "accuracy at the end of the budget, above the better synchronous PPO, tail B",
            "mean over seeds at least -2 points",
            gap,
            gap.estimate >= -2.0,
            POINTS,
            f"{OURS} {mean(ends[OURS]):.1%}, {final} {mean(ends[final]):.1%}",
        ),
    )


def summary(found: Mapping[str, Mapping[str, Sequence[Run]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Return means over seeds by tail and variant.

    Args:
        found: by tail and variant, a run a seed.
    """
    made: dict[str, dict[str, dict[str, float]]] = {}
    for tail, runs in found.items():
        level = LEVEL[tail]
        made[tail] = {
            name: {
                "start": mean([run.probes[0] for run in many]),
                "final": mean([run.probes[-1] for run in many]),
                "decode_steps": mean([run.reached(level) for run in many]),
                "reached": float(sum(_made(run, level) for run in many)),
                "slot_use": mean([run.slot_use for run in many]),
                "explained": mean([run.explained for run in many]),
                "skipped": mean([run.skipped for run in many]),
                "iterations": mean([float(run.iterations) for run in many]),
                "tokens": mean([run.tokens for run in many]),
                "computed": mean([run.computed for run in many]),
                "seconds": mean([run.seconds for run in many]),
            }
            for name, many in runs.items()
        }
    return made


def gpu_claims(runs: Mapping[str, Sequence[FullRun]]) -> tuple[Claim, ...]:
    """Return the claim at full size: seconds until the reward is what synchronous PPO ends with.

    Args:
        runs: by arm, a run a seed.
    """
    ratios: list[float] = []
    for ours, theirs in zip(runs["T-PPO"], runs["PPO"], strict=True):
        wanted = mean(theirs.curve("reward")[-10:])
        ratios.append(_seconds_to(ours, wanted) / _seconds_to(theirs, wanted))
    ratio = over(ratios)
    statement = "seconds until the mean reward of ten steps is what synchronous PPO's last ten had, over PPO's"
    return (claim(statement, "at most 0.7", ratio, ratio.estimate <= 0.7, "ratio"),)


def _seconds_to(run: FullRun, reward: float) -> float:
    """Seconds until ten steps in a row average a reward; all of the run's if none did."""
    curve, spent = run.curve("reward"), run.curve("seconds")
    ends = (at for at in range(10, len(curve) + 1) if mean(curve[at - 10 : at]) >= reward)
    return sum(spent[: next(ends, len(curve))])


def _made(run: Run, level: float) -> bool:
    return any(min(pair) >= level for pair in zip(run.probes, run.probes[1:], strict=False))
