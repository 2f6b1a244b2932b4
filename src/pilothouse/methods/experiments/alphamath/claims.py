"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.alphamath.measure import VOTES, Figures
from pilothouse.methods.experiments.alphamath.runs import Rounds
from pilothouse.methods.experiments.measured import POINTS, claim, over
from pilothouse.reports.statistics import Interval, paired_difference

BEAM = "SBS(3,5)"


def claims(runs: Sequence[Rounds], last: str) -> tuple[Claim, ...]:
    """Return the five claims, each over seeds.

    Args:
        runs: every seed's figures.
        last: the last round, "2".
    """
    end = [run[last] for run in runs]
    start, after = accuracy([run["0"] for run in runs], "sampled"), accuracy(end, "sampled")
    beam, vote, noise = (accuracy(end, name) for name in (BEAM, f"maj@{VOTES}", f"{BEAM}, noise"))
    areas = over([found["value"]["auc"] for found in end])
    return (
        _points(f"sampled pass@1 after round {last} above round 0", 10.0, after, start, f"{_mean(start)} before"),
        claim(
            "held-out values tell prefixes without a mistake from those with one",
            "area under the ROC curve at least 0.80",
            areas,
            areas.estimate >= 0.8,
            "area",
        ),
        _points(f"{BEAM} above sampled pass@1", 10.0, beam, after, f"{BEAM} {_mean(beam)}, {_cost(end, BEAM)}"),
        _points(f"{BEAM} not below maj@{VOTES}", 0.0, beam, vote, _votes(end, vote)),
        _ablation(noise, after),
    )


def _ablation(noise: Sequence[float], sampled: Sequence[float]) -> Claim:
    gap = _ahead(noise, sampled)
    return claim(
        f"with noise for a value, {BEAM} is no better than sampled pass@1",
        "at most 3 points above it",
        gap,
        gap.estimate <= 3.0,
        POINTS,
        f"{BEAM} with noise {_mean(noise)}",
    )


def _votes(end: Sequence[Mapping[str, Figures]], vote: Sequence[float]) -> str:
    """Say what the vote reaches when it may compute as many tokens as the search."""
    fair = f"maj at the tokens of {BEAM}"
    votes = sum(found[fair]["votes"] for found in end) / len(end)
    return (
        f"maj@{VOTES} {_mean(vote)}, {_cost(end, f'maj@{VOTES}')}; at the search's own tokens, maj@{votes:.0f} "
        f"{_mean(accuracy(end, fair))}, {_cost(end, fair)}"
    )


def accuracy(found: Sequence[Mapping[str, Figures]], name: str) -> list[float]:
    """Return the accuracy of every seed, in percent."""
    return [100 * figures[name]["accuracy"] for figures in found]


def _ahead(a: Sequence[float], b: Sequence[float]) -> Interval:
    return paired_difference(a, b)


def _points(statement: str, bar: float, a: Sequence[float], b: Sequence[float], note: str) -> Claim:
    gap = _ahead(a, b)
    wanted = f"mean over seeds at least {bar:+g} points"
    return claim(statement, wanted, gap, gap.estimate >= bar, POINTS, note)


def _cost(found: Sequence[Mapping[str, Figures]], name: str) -> str:
    tokens = sum(figures[name]["tokens"] for figures in found) / len(found)
    return f"{tokens:.0f} tokens computed a problem"


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.1f} %"
