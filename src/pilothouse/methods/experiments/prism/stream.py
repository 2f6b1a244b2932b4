"""Part A: a stream of events whose chances are known, seen through a noisy fast estimate and a good slow one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pilothouse.core.gates import threshold
from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.gate import CostGate

COSTS = ((1.0, 1.0), (1.0, 3.0), (3.0, 1.0))
FAST, SLOW, DELTA, LOUD = 1.6, 0.35, 0.1, 2.5
DRAWS = 20  #: random choices of whom to ask slowly, whose mean is taken

Pair = tuple[np.ndarray, np.ndarray]


def stream(n: int, seed: int) -> dict[str, dict[str, float]]:
    """Return by costs, as "C_FA:C_FN", the realised cost an event of every way to decide.

    Args:
        n: events, and as many to calibrate on.
        seed: root of every draw.
    """
    seeds = SeedTree(seed) / "prism-stream"
    rng = seeds.numpy()
    calibration, test = _events(n, rng), _events(n, rng)
    fast, slow = (_calibrated(calibration, test, noise, rng) for noise in (FAST, SLOW))
    found = arms(fast, slow, test["labels"], COSTS, rng)
    for (c_fa, c_fn), figures in zip(COSTS, found.values(), strict=True):
        gate = CostGate(c_fa, c_fn)
        loud = gate.decide(*(_louder(p) for p in fast))
        figures["loud"] = float(gate.realised(loud, *test["labels"]).mean())
    return found


def arms(
    fast: Pair, slow: Pair, labels: Pair, costs: Sequence[tuple[float, float]], rng: np.random.Generator
) -> dict[str, dict[str, float]]:
    """Return by costs, as "C_FA:C_FN", the realised cost an event of every way to decide, and who is asked slowly.

    Args:
        fast: [n] chances of need and of acceptance.
        slow: [n] better ones.
        labels: [n] whether help was needed, and whether it was or would have been accepted.
        costs: pairs of C_FA and C_FN.
        rng: draws whom the arm "random" asks slowly: as many as are near the threshold.
    """
    found: dict[str, dict[str, float]] = {}
    for c_fa, c_fn in costs:
        gate, n = CostGate(c_fa, c_fn), len(labels[0])

        def cost(speak: np.ndarray, gate: CostGate = gate) -> float:
            return float(gate.realised(speak, *labels).mean())

        near = np.abs(gate.margin(*fast)) <= DELTA
        choices = [_mixed(fast, slow, rng.permutation(near)) for _ in range(DRAWS)]
        found[f"{c_fa:g}:{c_fn:g}"] = {
            "always": cost(np.ones(n)),
            "never": cost(np.zeros(n)),
            "fixed 0.5": cost(fast[1] >= 0.5),
            "accept only": cost(fast[1] >= threshold(1.0, c_fa, c_fn)),
            "fast": cost(gate.decide(*fast)),
            "margin": cost(gate.decide(*_mixed(fast, slow, near))),
            "random": float(np.mean([cost(gate.decide(*chosen)) for chosen in choices])),
            "slow": cost(gate.decide(*slow)),
            "slow share": float(near.mean()),
        }
    return found


def closed(costs: Mapping[str, float], arm: str) -> float:
    """Return which share of the gap between the fast and the slow estimate a routing closes."""
    return (costs["fast"] - costs[arm]) / (costs["fast"] - costs["slow"])


def _events(n: int, rng: np.random.Generator) -> dict[str, Any]:
    logits = 1.8 * rng.multivariate_normal([0, 0], [[1, 0.3], [0.3, 1]], size=n) + (-0.3, -0.2)
    labels = (rng.random((n, 2)) < 1 / (1 + np.exp(-logits))).astype(float)
    return {"logits": logits, "labels": (labels[:, 0], labels[:, 1])}


def _calibrated(calibration: Mapping[str, Any], test: Mapping[str, Any], noise: float, rng: Any) -> Pair:
    """Return chances from noisy logits, calibrated by logistic regression on the other sample."""
    from sklearn.linear_model import LogisticRegression

    seen, asked = (part["logits"] + noise * rng.standard_normal(part["logits"].shape) for part in (calibration, test))
    chances: list[np.ndarray] = []
    for at in (0, 1):
        model = LogisticRegression(C=1e6).fit(seen[:, [at]], calibration["labels"][at])
        chances.append(model.predict_proba(asked[:, [at]])[:, 1])
    return chances[0], chances[1]


def _mixed(fast: Pair, slow: Pair, asked: np.ndarray) -> Pair:
    return np.where(asked, slow[0], fast[0]), np.where(asked, slow[1], fast[1])


def _louder(p: np.ndarray) -> np.ndarray:
    return 1 / (1 + ((1 - p) / p) ** LOUD)
