"""Choosing one of several responses: by score, by majority, by weighted majority. Ties go to the earliest."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence


def best(scores: Sequence[float]) -> int:
    """Return the position of the highest score."""
    return max(range(len(scores)), key=lambda at: scores[at])


def vote(answers: Sequence[str], weights: Sequence[float] | None = None) -> int:
    """Return the position of the first response with the answer of the greatest total weight.

    With weights of 1 this is self-consistency (Wang et al. 2022, arXiv 2203.11171); with a reward model's scores it is
    weighted best-of-N (Li et al. 2022, arXiv 2206.02336). An empty answer counts only if nobody gave another.

    Args:
        answers: each response's final answer in a form that can be compared.
        weights: each response's weight, not negative; 1 by default.
    """
    weights = [1.0] * len(answers) if weights is None else weights
    totals: dict[str, float] = defaultdict(float)
    for answer, weight in zip(answers, weights, strict=True):
        totals[answer] += weight
    named = [answer for answer in totals if answer] or list(totals)
    return answers.index(max(named, key=lambda answer: totals[answer]))
