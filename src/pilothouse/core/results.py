"""What a program returns, and what it cost in stated units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from pilothouse.core.episodes import Episode


@dataclass(frozen=True)
class Cost:
    """What was spent.

    Args:
        tokens_sampled: tokens the policy produced.
        tokens_computed: tokens a model processed (prefill and decode) after prefix reuse.
        tokens_reused: prefix tokens whose computation was saved by reuse.
        calls: requests answered.
        seconds: wall-clock seconds.
    """

    tokens_sampled: int = 0
    tokens_computed: int = 0
    tokens_reused: int = 0
    calls: int = 0
    seconds: float = 0.0

    def __add__(self, other: Cost) -> Cost:
        """Return the sum, unit by unit."""
        return Cost(
            self.tokens_sampled + other.tokens_sampled,
            self.tokens_computed + other.tokens_computed,
            self.tokens_reused + other.tokens_reused,
            self.calls + other.calls,
            self.seconds + other.seconds,
        )

    def __sub__(self, other: Cost) -> Cost:
        """Return the difference, unit by unit: what was spent between two readings."""
        return Cost(
            self.tokens_sampled - other.tokens_sampled,
            self.tokens_computed - other.tokens_computed,
            self.tokens_reused - other.tokens_reused,
            self.calls - other.calls,
            self.seconds - other.seconds,
        )

    def to_dict(self) -> dict[str, float]:
        """Return the figures by unit name, for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """What a program leaves: an answer for the user, episodes for learning, a trace for the reader.

    Args:
        answer: the text that answers the problem.
        episodes: what credit reads; their rewards are filled in by the task, never by the program.
        trace: JSON-ready record of the search, if there was one.
        cost: filled in by the runner.
    """

    answer: str
    episodes: tuple[Episode, ...] = ()
    trace: Mapping[str, Any] = field(default_factory=dict[str, Any])
    cost: Cost = field(default_factory=Cost)
