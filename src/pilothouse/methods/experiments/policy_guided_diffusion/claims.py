"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import claim, mean, over
from pilothouse.reports.statistics import Interval, paired_difference

#: One seed's figures by setting (see ``system.measure``).
Found = Mapping[str, Any]


def system_claims(found: Sequence[Found]) -> tuple[Claim, ...]:
    """Return the claims on the known system at its own size.

    Args:
        found: one a seed.
    """
    ladder = [[run[name]["A"] for name in ("0", "0.3", "1", "3")] for run in found]
    levels = ", ".join(f"{mean(column):.3g}" for column in zip(*ladder, strict=True))
    errors = ", ".join(f"{mean([run[name]['E'] for run in found]):.2g}" for name in ("0", "0.3", "1", "3", "10"))
    falls = over([float(all(a > b for a, b in pairwise(steps))) for steps in ladder])
    own = _ratio(found, ("0", "A"), ("data", "A"))
    world = f"mean E of the world model {mean([run['world']['E'] for run in found]):.2g}"
    return (
        claim(
            "seeds whose distance A of the actions from the policy falls from each lambda of 0, 0.3, 1, 3 to the next",
            "all",
            falls,
            falls.estimate == 1.0,
            "share",
            f"mean A {levels}",
        ),
        claim(
            "A without guidance, over that of the recorded windows",
            "within 0.9 and 1.1",
            own,
            0.9 <= own.estimate <= 1.1,
            "ratio",
        ),
        _at_most(0.6, "A at lambda 1 over A without guidance", _ratio(found, ("1", "A"), ("0", "A"))),
        _at_most(0.2, "A at lambda 3 over A without guidance", _ratio(found, ("3", "A"), ("0", "A"))),
        _at_most(
            10,
            "dynamics error E at lambda 1 over E without guidance",
            _ratio(found, ("1", "E"), ("0", "E")),
            f"mean E at lambda 0, 0.3, 1, 3, 10: {errors}",
        ),
        _at_most(
            1,
            "E at lambda 1 over the world model's, mean of 15 steps",
            _ratio(found, ("1", "E"), ("world", "E")),
            world,
        ),
        _grows(_ratio(found, ("world", "E_last"), ("world", "E_first"))),
        _at_most(3, "E at lambda 1, last transition over the mean", _ratio(found, ("1", "E_last"), ("1", "E"))),
        _at_most(
            1,
            "E at lambda 3 over the world model's, both at the last transition",
            _ratio(found, ("3", "E_last"), ("world", "E_last")),
        ),
    )


def _ratio(found: Sequence[Found], above: tuple[str, str], below: tuple[str, str]) -> Interval:
    """One figure of a setting over another, seed by seed."""
    return over([run[above[0]][above[1]] / run[below[0]][below[1]] for run in found])


def _at_most(bar: float, statement: str, ratio: Interval, note: str = "") -> Claim:
    return claim(statement, f"at most {bar:g}", ratio, ratio.estimate <= bar, "ratio", note)


def _grows(ratio: Interval) -> Claim:
    statement = "the world model's E at its last step over its first"
    return claim(statement, "at least 10", ratio, ratio.estimate >= 10, "ratio")


def harder_claims(found: Sequence[Found]) -> tuple[Claim, ...]:
    """Return the claim on a tenth of the data and windows of 64, at the least guidance that is on-policy enough.

    Args:
        found: one a seed.
    """
    chosen = [_least(run) for run in found]
    ratio = over([run["world"]["E"] / run[name]["E"] for run, name in zip(found, chosen, strict=True)])
    enough = all(run[name]["A"] <= 0.3 * run["0"]["A"] for run, name in zip(found, chosen, strict=True))
    shares = ", ".join(f"{run[name]['A'] / run['0']['A']:.2g}" for run, name in zip(found, chosen, strict=True))
    return (
        claim(
            "a tenth of the data, windows of 64: the world model's E over the guided trajectories'",
            "at least 1.5, at an A of at most 0.3 times that without guidance",
            ratio,
            enough and ratio.estimate >= 1.5,
            "ratio",
            f"lambda {', '.join(chosen)}; A over A without guidance {shares}",
        ),
    )


def agent_claims(found: Mapping[str, Sequence[Found]]) -> tuple[Claim, ...]:
    """Return the claims on learners: guided data at least as good as recorded, and as unguided, data.

    Args:
        found: by environment, one a seed.
    """
    made: list[Claim] = []
    for world, runs in found.items():
        behaviour = mean([run["behaviour"] for run in runs])
        for learner in ("TD3+BC", "IQL"):
            returns = {arm: [run[learner][arm] for run in runs] for arm in runs[0][learner]}
            note = ", ".join(f"{arm} {mean(values):.4g}" for arm, values in returns.items())
            for other in ("recorded", "unguided"):
                gap = paired_difference(returns["guided"], returns[other])
                made.append(
                    claim(
                        f"{world}, {learner}: mean return with guided data above that with {other} data",
                        "at least 0",
                        gap,
                        gap.estimate >= 0,
                        "return",
                        f"{note}; behaviour {behaviour:.4g}",
                    )
                )
    return tuple(made)


def _least(run: Found) -> str:
    """The smallest lambda whose A is at most 0.3 of that without guidance; the one of least A if there is none."""
    names = sorted((name for name in run if _is_number(name) and float(name) > 0), key=float)
    enough = [name for name in names if run[name]["A"] <= 0.3 * run["0"]["A"]]
    return enough[0] if enough else min(names, key=lambda name: run[name]["A"])


def _is_number(name: str) -> bool:
    try:
        return math.isfinite(float(name))
    except ValueError:
        return False
