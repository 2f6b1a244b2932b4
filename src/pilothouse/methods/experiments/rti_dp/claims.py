"""From figures to claims: every bar is the one that was set before the figures were known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from pilothouse.core.cards import Claim
from pilothouse.methods.experiments.measured import claim, mean, over
from pilothouse.methods.experiments.rti_dp.arms import (
    ARMS,
    BASE,
    BASE_ONE,
    CLIP_3,
    CLIP_13,
    COLD,
    COLD_DDIM,
    RTI_3,
)

#: One training: by arm, its figures; ``ms`` is that of one prediction.
Training: TypeAlias = Mapping[str, Mapping[str, Any]]


def success(found: Training, arm: str) -> float:
    """Return an arm's share of successes."""
    return float(found[arm]["success"]["estimate"])


def _rates(found: Sequence[Training], *arms: str) -> str:
    return ", ".join(f"{arm} {mean([success(one, arm) for one in found]):.1%}" for arm in arms)


def claims(found: Sequence[Training], judged: str) -> tuple[Claim, ...]:
    """Return the claims.

    Args:
        found: one a training.
        judged: the list of 7 to 13 calls that the first claim is about.
    """
    calls = len(ARMS[judged].sampler.model_dump()["steps"])
    return (*_as_good(found, judged, calls), *_warm(found), *_smooth(found), *_clipped(found))


def _as_good(found: Sequence[Training], judged: str, calls: int) -> tuple[Claim, ...]:
    share = over([success(one, judged) / success(one, BASE) if success(one, BASE) else float("nan") for one in found])
    latency = over([one[BASE]["ms"] / one[judged]["ms"] for one in found])
    paid = (
        mean([one[judged]["calls_per_action"] for one in found]),
        mean([one[BASE]["calls_per_action"] for one in found]),
    )
    ratio = 100 / calls
    return (
        claim(
            f"success of {judged}, one action a plan, as a share of that of {BASE}",
            "at least 0.95",
            share,
            share.estimate >= 0.95,
            "share",
            _rates(found, judged, BASE, BASE_ONE),
        ),
        Claim(
            f"network calls a prediction, {BASE} over {judged}",
            "at least 7",
            ratio,
            ratio,
            ratio,
            0.0,
            ratio >= 7,
            "times",
            len(found),
            f"for each action executed, first plans included: {paid[0]:.1f} against {paid[1]:.1f}",
        ),
        claim(
            f"wall time a prediction, {BASE} over {judged}, one slot",
            "at least 5",
            latency,
            latency.estimate >= 5,
            "times",
            f"{mean([one[BASE]['ms'] for one in found]):.1f} and {mean([one[judged]['ms'] for one in found]):.2f} ms",
        ),
    )


def _warm(found: Sequence[Training]) -> tuple[Claim, ...]:
    gain = over([100 * (success(one, RTI_3) - success(one, COLD_DDIM)) for one in found])
    cold = over([100 * success(one, COLD) for one in found])
    return (
        claim(
            f"success of {RTI_3} above {COLD_DDIM}, both three calls",
            "at least 15 points",
            gain,
            gain.estimate >= 15,
            "points",
            _rates(found, RTI_3, COLD_DDIM),
        ),
        claim(
            "success of the same three steps from noise: the guess is what does it",
            "at most 10 %",
            cold,
            cold.estimate <= 10,
            "%",
        ),
    )


def _smooth(found: Sequence[Training]) -> tuple[Claim, ...]:
    ratio = over([one[RTI_3]["jerk"] / one[BASE_ONE]["jerk"] for one in found])
    figures = ", ".join(f"{arm} {mean([one[arm]['jerk'] for one in found]):.3f}" for arm in (RTI_3, BASE_ONE, BASE))
    return (
        claim(
            f"mean change between consecutive actions, {RTI_3} over {BASE_ONE}",
            "at most 0.6",
            ratio,
            ratio.estimate <= 0.6,
            "share",
            figures,
        ),
    )


def _clipped(found: Sequence[Training]) -> tuple[Claim, ...]:
    gap = over([100 * (success(one, CLIP_13) - success(one, CLIP_3)) for one in found])
    return (
        claim(
            "success of clipped guesses with 13 calls above 3 calls",
            "at least 20 points",
            gap,
            gap.estimate >= 20,
            "points",
            _rates(found, CLIP_13, CLIP_3),
        ),
    )
