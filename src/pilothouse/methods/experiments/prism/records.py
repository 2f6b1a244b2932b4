"""Part B: a teacher that is confidently wrong on part of its domain, and a student that learns from its records."""

from __future__ import annotations

from typing import Any

import numpy as np

from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.selection import rdc_score, top_fraction
from pilothouse.decisions.sweep import fared

WIDTH = 12  #: figures of a context
WRONG = 0.25  #: the teacher is wrong where the first figure exceeds this: about 40 % of the domain
COSTS = (1.0, 3.0)

Pair = tuple[np.ndarray, np.ndarray]


def records(n: int, seed: int) -> dict[str, dict[str, float]]:
    """Return by arm the realised cost an event and the false alarms of a student on held-out events.

    Args:
        n: records, and as many held-out events.
        seed: root of every draw.
    """
    rng = (SeedTree(seed) / "prism-records").numpy()
    weights = rng.standard_normal((2, WIDTH)) * 2 / np.sqrt(WIDTH)
    x, test = rng.standard_normal((2, n, WIDTH))
    y_need, y_acc = _labels(x, weights, rng)
    labels = _labels(test, weights, rng)
    q_need, q_acc = _teacher(x, weights)
    scores = rdc_score(y_need, y_acc, q_need, q_acc)
    third = 1 / 3
    arms = {
        "all": np.arange(n),
        "random third": np.sort(rng.choice(n, round(n * third), replace=False)),
        "RDC third": top_fraction(scores, third),
        "RDC third by stratum": top_fraction(scores, third, stratify_by=y_acc),
    }
    gate, found = CostGate(*COSTS), dict[str, dict[str, float]]()
    for arm, kept in arms.items():
        student = tuple(_learnt(x[kept], q[kept], test) for q in (q_need, q_acc))
        found[arm] = _figures(gate, (student[0], student[1]), labels)
    true = 1 / (1 + np.exp(-test @ weights.T))
    found["oracle"] = _figures(gate, (true[:, 0], true[:, 1]), labels)
    return found


def _labels(x: np.ndarray, weights: np.ndarray, rng: np.random.Generator) -> Pair:
    y = (rng.random((len(x), 2)) < 1 / (1 + np.exp(-x @ weights.T))).astype(float)
    return y[:, 0], y[:, 1]


def _teacher(x: np.ndarray, weights: np.ndarray) -> Pair:
    """Return the teacher's chances: the true ones, but the opposite where it is wrong."""
    logits = x @ weights.T * np.where(x[:, 0] > WRONG, -1.0, 1.0)[:, None]
    q = 1 / (1 + np.exp(-logits))
    return q[:, 0], q[:, 1]


def _learnt(x: np.ndarray, q: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return [n] chances on held-out events of a logistic student fitted to chances as soft targets."""
    from sklearn.linear_model import LogisticRegression

    targets, weights = np.repeat([1, 0], len(x)), np.concatenate([q, 1 - q])
    student: Any = LogisticRegression().fit(np.concatenate([x, x]), targets, sample_weight=weights)
    return student.predict_proba(test)[:, 1]


def _figures(gate: CostGate, chances: Pair, labels: Pair) -> dict[str, float]:
    found = fared(gate.decide(*chances), *labels, gate)
    return {"cost": found.cost, "false alarm": found.false_alarm, "recall": found.recall, "offers": found.offers}
