"""Which engine for which work: hard constraints first, then a weighted score, always with the reasons."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pilothouse.core.errors import ConfigError, nearest
from pilothouse.decisions.engine_catalogue import CRITERIA, EngineCatalogue, InferenceEngine, Wanted

#: What weighs how much, by kind of work; each sums to 1.
PROFILES: dict[str, dict[str, float]] = {
    "balanced": dict.fromkeys(CRITERIA, 1 / 6),
    "latency": {"latency": 0.4, "throughput": 0.1, "use": 0.15, "deploy": 0.15, "general": 0.1, "scale": 0.1},
    "throughput": {"throughput": 0.4, "scale": 0.25, "latency": 0.1, "use": 0.1, "deploy": 0.1, "general": 0.05},
    "edge": {"deploy": 0.3, "general": 0.3, "latency": 0.3, "use": 0.1},
    "research": {"use": 0.4, "deploy": 0.3, "general": 0.3},
}
UNKNOWN = 0.1  #: what an engine loses if none of its techniques is disclosed


@dataclass(frozen=True)
class Measured:
    """An engine as measured on the user's own hardware with one model.

    Args:
        engine: its name.
        tokens_per_s: output tokens a second.
        first_token_s: time to the first token, in seconds.
    """

    engine: str
    tokens_per_s: float
    first_token_s: float


@dataclass(frozen=True)
class Ranked:
    """An engine that satisfies the constraints.

    Args:
        name: the engine.
        score: the weighted score, less the penalty for what is not disclosed.
        shares: by criterion, what it adds to the score.
        penalty: what was taken off.
        pareto: no other candidate is at least as good in every criterion and better in one.
        doubts: cells of the tables that look wrong and that were asked for.
    """

    name: str
    score: float
    shares: Mapping[str, float]
    penalty: float
    pareto: bool
    doubts: tuple[str, ...] = ()

    @property
    def reason(self) -> str:
        """What carries its score, in a phrase."""
        best = sorted(self.shares.items(), key=lambda item: -item[1])[:3]
        found = "strong in " + ", ".join(f"{name} ({value:.2f})" for name, value in best if value > 0)
        return found + (f"; {self.penalty:.2f} off for what is not disclosed" if self.penalty else "")


@dataclass(frozen=True)
class Selection:
    """A ranking with its reasons.

    Args:
        ranking: the candidates, best first.
        rejected: by engine, the first constraint it fails.
        profile: the weights.
    """

    ranking: tuple[Ranked, ...]
    rejected: Mapping[str, str]
    profile: Mapping[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Return the selection for JSON."""
        ranking = [{**asdict(row), "reason": row.reason} for row in self.ranking]
        return {"ranking": ranking, "rejected": dict(self.rejected), "profile": dict(self.profile)}


def select_engine(
    catalogue: EngineCatalogue,
    wanted: Wanted | None = None,
    profile: str | Mapping[str, float] = "balanced",
    measured: Sequence[Measured] = (),
) -> Selection:
    """Return the engines that satisfy the constraints, best first, and why the others do not.

    Ties go to the engine with more techniques, then by name.

    Args:
        catalogue: the engines.
        wanted: the constraints; none by default.
        profile: "balanced", "latency", "throughput", "edge", "research", or weights by criterion, which are scaled to
            sum to 1.
        measured: figures of one's own, of one model on one machine: for those engines they take the place of the
            scores of throughput and latency, scaled between the worst and the best of them.

    Raises:
        ConfigError: a profile, criterion or constraint is unknown, weights are negative or sum to 0, or a measured
            engine is unknown.
    """
    wanted = wanted or Wanted()
    weights = _weights(profile)
    rejected = {engine.name: why for engine in catalogue.engines if (why := catalogue.reject(engine, wanted))}
    candidates = [engine for engine in catalogue.engines if engine.name not in rejected]
    scores = _with_measured(catalogue, {engine.name: dict(engine.scores) for engine in candidates}, measured)
    rows = [_ranked(catalogue, engine, scores, weights, wanted) for engine in candidates]
    count = {engine.name: len(engine.techniques) for engine in candidates}
    rows.sort(key=lambda row: (-round(row.score, 9), -count[row.name], row.name.lower()))
    return Selection(tuple(rows), rejected, weights)


def _weights(profile: str | Mapping[str, float]) -> dict[str, float]:
    if isinstance(profile, str):
        if profile not in PROFILES:
            raise ConfigError(f"unknown profile '{profile}'{nearest(profile, PROFILES)}")
        profile = PROFILES[profile]
    for name, weight in profile.items():
        if name not in CRITERIA:
            raise ConfigError(f"unknown criterion '{name}'{nearest(name, CRITERIA)}")
        if not (weight >= 0 and math.isfinite(weight)):
            raise ConfigError(f"the weight of {name} is {weight}: give a number of at least 0")
    total = sum(profile.values())
    if not total > 0:
        raise ConfigError("the weights sum to 0: give one criterion some weight")
    return {name: weight / total for name, weight in profile.items()}


def _ranked(
    catalogue: EngineCatalogue,
    engine: InferenceEngine,
    scores: Mapping[str, Mapping[str, float]],
    weights: Mapping[str, float],
    wanted: Wanted,
) -> Ranked:
    own = scores[engine.name]
    shares = {name: weight * own[name] for name, weight in weights.items()}
    penalty = UNKNOWN * len(engine.undisclosed) / len(catalogue.techniques)
    beaten = any(
        all(other[name] >= own[name] for name in CRITERIA) and any(other[name] > own[name] for name in CRITERIA)
        for other in scores.values()
    )
    asked = {*wanted.technique, *wanted.precision, *wanted.device}
    doubts = tuple(
        doubt["why"] for doubt in catalogue.doubts if doubt["engine"] in ("*", engine.name) and doubt["field"] in asked
    )
    return Ranked(engine.name, sum(shares.values()) - penalty, shares, penalty, not beaten, doubts)


def _with_measured(
    catalogue: EngineCatalogue, scores: dict[str, dict[str, float]], measured: Sequence[Measured]
) -> dict[str, dict[str, float]]:
    speed = {catalogue.find(row.engine).name: row for row in measured}
    for row in speed.values():
        if not (row.tokens_per_s > 0 and row.first_token_s > 0):
            raise ConfigError(f"measured figures of {row.engine} must be greater than 0")
    for criterion, figure in (
        ("throughput", lambda row: row.tokens_per_s),
        ("latency", lambda row: 1 / row.first_token_s),
    ):
        values = {name: figure(row) for name, row in speed.items()}
        if not values:
            continue
        low, high = min(values.values()), max(values.values())
        for name, value in values.items():
            if name in scores:
                scores[name][criterion] = 1.0 if high == low else (value - low) / (high - low)
    return scores
