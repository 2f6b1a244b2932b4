"""Which of a teacher's records to learn from: those where it was both right and well calibrated."""

from __future__ import annotations

from typing import Any

import numpy as np

from pilothouse.decisions.arrays import InputError, binary, like, probabilities, same_length, vector


def rdc_score(y_need: Any, y_acc: Any, q_need: Any, q_acc: Any, threshold: float = 0.5) -> Any:
    """Return [n] the decision-consistent reward of a teacher's records.

    ``y_acc - (q_need - y_need)^2 - 1{the teacher saw a need} (q_acc - y_acc)^2``. The first term makes accepted events
    win over all others: rank within ``y_acc`` (``top_fraction(..., stratify_by=y_acc)``) to keep rejections too.

    Args:
        y_need: [n] whether help was needed.
        y_acc: [n] whether the offer was, or would have been, accepted.
        q_need: [n] the teacher's chances of need.
        q_acc: [n] the teacher's chances of acceptance.
        threshold: the chance from which the teacher is taken to see a need (reconstructed).

    Raises:
        InputError: something is not a probability or a label (the rows are named), or lengths differ.

    Source: PRISM, arXiv 2602.01532.
    """
    need, acc = binary(y_need, "y_need"), binary(y_acc, "y_acc")
    said_need, said_acc = probabilities(q_need, "q_need"), probabilities(q_acc, "q_acc")
    same_length({"y_need": need, "y_acc": acc, "q_need": said_need, "q_acc": said_acc})
    saw = said_need >= threshold
    return like(q_need, acc - (said_need - need) ** 2 - saw * (said_acc - acc) ** 2)


def top_fraction(scores: Any, fraction: float, *, stratify_by: Any = None) -> np.ndarray:
    """Return the positions of the highest scores, in the order of the records; ties go to the earlier record.

    Args:
        scores: [n] figures.
        fraction: the share to keep, in (0, 1]; at least one record is kept.
        stratify_by: [n] labels; the share is then taken within each of their values.

    Raises:
        InputError: the fraction is out of range, scores are not finite, or lengths differ.
    """
    if not 0 < fraction <= 1:
        raise InputError(f"fraction is {fraction}: keep more than nothing and at most all, a number in (0, 1]")
    values = vector(scores, "scores")
    strata = np.zeros(len(values)) if stratify_by is None else vector(stratify_by, "stratify_by")
    same_length({"scores": values, "stratify_by": strata})
    kept = []
    for stratum in np.unique(strata):
        places = np.flatnonzero(strata == stratum)
        best = places[np.argsort(-values[places], kind="stable")]
        kept.append(best[: max(1, round(fraction * len(places)))])
    return np.sort(np.concatenate(kept))
