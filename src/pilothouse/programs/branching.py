"""How many children a tree of samples grows at each round, and which of its open paths get them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from pilothouse.core.errors import EngineError
from pilothouse.core.parts import Settings
from pilothouse.programs.paths import Path


def children(width: int, branch: int, *, alive: int, finished: int, just_finished: int, transfer: bool = True) -> int:
    """Return how many paths the next round samples: what is left of the width, at least one an open path.

    Args:
        width: responses wanted (w).
        branch: children an open path has (N).
        alive: open paths, at least one.
        finished: responses that have ended, this round's included.
        just_finished: those that ended this round.
        transfer: whether the children of paths that just ended go to the open ones. That keeps the width, and gives
            long responses more than their share of it.

    Source: Li et al. 2025 (TreePO), arXiv 2508.17445, algorithm 1.
    """
    room = max(width - finished, 0)
    wanted = branch * (alive + (just_finished if transfer else 0))
    return max(min(room, wanted), alive)


def allocate(weights: Sequence[float], total: int) -> list[int]:
    """Return whole shares that sum to ``total``: one each, the rest by largest remainder; ties go to the first.

    Args:
        weights: what each share of the rest is in proportion to; not negative, not all 0.
        total: how many there are to share out.

    Raises:
        ValueError: there is less than one for each.
    """
    rest = total - len(weights)
    if rest < 0:
        raise ValueError(f"{total} cannot be shared among {len(weights)} that get at least one each")
    quotas = [rest * weight / math.fsum(weights) for weight in weights]
    shares = [1 + math.floor(quota) for quota in quotas]
    order = sorted(range(len(weights)), key=lambda at: math.floor(quotas[at]) - quotas[at])
    for at in order[: total - sum(shares)]:
        shares[at] += 1
    return shares


class Share(Settings):
    """How a round's children are shared among the open paths.

    Args:
        policy: "average" gives each the same number and the last one the remainder, as in the paper and its code;
            "even" spreads the remainder over the first; "low-probability" and "high-probability" give in proportion to
            ``exp(-s / tau)`` and ``exp(s / tau)``, s the log-probability of a path.
        tau: temperature of those proportions, in nats.
        likelihood: s is the sum or the mean over tokens.
        over: s is of the last segment, as in the paper, or of the whole path.
    """

    policy: Literal["average", "even", "low-probability", "high-probability"] = "average"
    tau: Annotated[float, Field(gt=0)] = 2.0
    likelihood: Literal["sum", "mean"] = "sum"
    over: Literal["segment", "path"] = "segment"

    def __call__(self, paths: Sequence[Path], total: int) -> list[int]:
        """Return the number of children of each open path, at least one; they sum to ``total``.

        Raises:
            EngineError: the policy needs log-probabilities that the engine does not tell.
        """
        count = len(paths)
        if self.policy == "average":
            return [total // count] * (count - 1) + [total - total // count * (count - 1)]
        if self.policy == "even":
            return allocate([1.0] * count, total)
        sign = -1.0 if self.policy == "low-probability" else 1.0
        scores = [sign * self.score(path) / self.tau for path in paths]
        return allocate([math.exp(score - max(scores)) for score in scores], total)

    def score(self, path: Path) -> float:
        """Return the log-probability s of a path that has at least one segment, in nats."""
        start = path.steps[-1].start if self.over == "segment" else 0
        logprobs = told(path.logprobs[start:], f"share.policy '{self.policy}'")
        return math.fsum(logprobs) / (len(logprobs) if self.likelihood == "mean" else 1)


def told(logprobs: Sequence[float], who: str) -> Sequence[float]:
    """Return the log-probabilities if all are known.

    Args:
        logprobs: of sampled tokens.
        who: the setting that needs them, for the message.

    Raises:
        EngineError: the engine did not tell them.
    """
    if any(math.isnan(logprob) for logprob in logprobs):
        raise EngineError(f"{who} needs log-probabilities and the engine gives none: leave that setting at its default")
    return logprobs
