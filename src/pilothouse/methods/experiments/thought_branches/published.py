"""Part B: the published transplant file, summarised again."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path

import numpy as np

from pilothouse.core.errors import DataError
from pilothouse.methods.experiments.measured import find_data

FILE = "faith_counterfactual_qwen-14b.csv"
#: What the file is known to hold, to three decimals.
EXPECTED = {
    "problems": 47,
    "sentences": 1058,
    "mean p, first two sentences": 0.320,
    "mean p, last two sentences": 0.986,
    "mean effect": 0.0318,
    "sd of effects": 0.129,
    "share of effects below 0.10": 0.754,
    "share of effects above 0.30": 0.042,
    "median largest jump": 0.36,
}


def find_transplants() -> Path | None:
    """Return the file, anywhere under ``PILOTHOUSE_DATA``; ``None`` if it is not there."""
    return find_data(f"**/{FILE}")


def summarise(path: Path) -> dict[str, float]:
    """Return the figures of ``EXPECTED`` as computed from a file.

    Args:
        path: a CSV with the columns pn (problem), sentence_num, cue_p (p_i) and cue_p_prev (p_{i-1}).

    Raises:
        DataError: a column is missing.
    """
    problems: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            try:
                problems[row["pn"]].append((int(row["sentence_num"]), float(row["cue_p"]), _number(row["cue_p_prev"])))
            except KeyError as missing:
                raise DataError(f"{path} has no column {missing}; give the file of the official repository") from None
    chains = [sorted(rows) for rows in problems.values()]
    effects = np.array([p - before for rows in chains for _, p, before in rows])
    effects = effects[np.isfinite(effects)]
    return {
        "problems": len(chains),
        "sentences": sum(map(len, chains)),
        "mean p, first two sentences": float(np.mean([p for rows in chains for _, p, _ in rows[:2]])),
        "mean p, last two sentences": float(np.mean([p for rows in chains for _, p, _ in rows[-2:]])),
        "mean effect": float(effects.mean()),
        "sd of effects": float(effects.std(ddof=1)),
        "share of effects below 0.10": float((np.abs(effects) < 0.10).mean()),
        "share of effects above 0.30": float((np.abs(effects) > 0.30).mean()),
        "median largest jump": float(np.median([np.nanmax([p - b for _, p, b in rows]) for rows in chains])),
    }


def _number(text: str) -> float:
    return float(text) if text else float("nan")
