"""What the end of a run says about its settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pilothouse.credit.diagnostics import ModelKind, RewardStats, recommend

WINDOW = 10  #: last steps that are averaged


def diagnose(rows: Sequence[Mapping[str, Any]], config: Mapping[str, Any], kind: ModelKind) -> dict[str, Any]:
    """Return ``diagnosis`` (mean figures of the last steps) and ``advice`` (switches they speak for that are not set).

    Args:
        rows: metrics rows of a run.
        config: its configuration; a switch that it does not have is not advised.
        kind: what was trained.
    """
    stats = RewardStats(
        mean_reward=_mean(rows, "reward"),
        mean_group_std=_mean(rows, "group_std"),
        zero_std_groups=_mean(rows, "dead_groups"),
        truncation_rate=_mean(rows, "truncated"),
        length_correct=_mean(rows, "length_correct"),
        length_wrong=_mean(rows, "length_wrong"),
        entropy=_mean(rows, "entropy"),
    )
    advice = [asdict(a) for a in recommend(stats, kind) if _differs(config, a.setting, a.value)]
    return {"diagnosis": asdict(stats), "advice": advice}


def _mean(rows: Sequence[Mapping[str, Any]], name: str) -> float:
    known = [row[name] for row in rows[-WINDOW:] if row.get(name) is not None and math.isfinite(row[name])]
    return sum(known) / len(known) if known else math.nan


def _differs(config: Mapping[str, Any], setting: str, value: str | float) -> bool:
    """Whether the configuration has this setting, with another value; a part is told by its name."""
    found: Any = config
    for piece in setting.split("."):
        if not isinstance(found, Mapping) or piece not in found:
            return False
        found = found[piece]
    return (found["name"] if isinstance(found, Mapping) else found) != value
