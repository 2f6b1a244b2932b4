"""Reading what scorers say: checked, named when wrong, and aggregated over the steps of a path."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

from pilothouse.core.errors import DataError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Value, Valued
from pilothouse.programs.paths import Path

#: How the scores of a path's steps become one: their product, their minimum, the newest step's, or the score that the
#: scorer gave the whole partial response ("model"; the same figure as "last" for a scorer that reads whole prefixes).
Aggregation: TypeAlias = Literal["prod", "min", "last", "model"]

OUTCOME = "outcome"  #: the name by which a program that makes training data asks the task's verifier


def ask(posed: Posed, path: Path, scorer: str = "value") -> Value:
    """Return the request for the worth of a path.

    Args:
        posed: the problem.
        path: the partial or whole response.
        scorer: which of the runner's scorers or engines answers.
    """
    return Value(posed.prompt + path.tokens, policy=scorer, problem=posed.id, start=len(posed.prompt))


def worth(reply: Reply, who: str) -> float:
    """Return a scorer's figure.

    Args:
        reply: the answer to ``ask``.
        who: what was scored, for the message: "particle 3".

    Raises:
        DataError: it is not a finite number.
    """
    assert isinstance(reply, Valued)
    if not math.isfinite(reply.value):
        raise DataError(f"the scorer gave {who} the score {reply.value}: it must return a finite number")
    return reply.value


def probability(reply: Reply, who: str, score_range: tuple[float, float] = (0.0, 1.0)) -> float:
    """Return a process reward in [0, 1].

    Args:
        reply: the answer to ``ask``.
        who: what was scored, for the message: "particle 3".
        score_range: the scorer's own range, which is mapped linearly to [0, 1].

    Raises:
        DataError: it is NaN or outside its range.
    """
    assert isinstance(reply, Valued)
    low, high = score_range
    if not low <= reply.value <= high:
        raise DataError(
            f"the scorer gave {who} the score {reply.value:g}: a process reward lies in [{low:g}, {high:g}]; "
            "squash it (a logit through a sigmoid, say), use a scorer that is a probability, or set score_range"
        )
    return (reply.value - low) / (high - low)


def aggregate(scores: Sequence[float], how: Aggregation) -> float:
    """Return one score for a path of scored steps.

    Args:
        scores: one a step, oldest first; at least one.
        how: the aggregation.
    """
    if how == "prod":
        return math.prod(scores)
    return min(scores) if how == "min" else scores[-1]
