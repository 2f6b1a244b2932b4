"""A branch: one resampled continuation of a chain of thought, read as sentences and an outcome."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Branch:
    """What was sampled after the first ``kept`` sentences of a chain.

    Args:
        kept: sentences of the chain that stayed.
        replacement: the first sentence sampled, in the place of the one that was removed; empty if the chain ended.
        later: the sentences after it.
        outcome: the class of the whole chain's outcome; ``None`` if it has none (cut off, or no answer).
        removals: how often content had to be removed before it stayed away; 0 where nothing was.
    """

    kept: int
    replacement: str = ""
    later: tuple[str, ...] = ()
    outcome: str | None = None
    removals: int = 0

    @staticmethod
    def of(kept: int, sampled: Sequence[str], outcome: str | None, removals: int = 0) -> Branch:
        """Return the branch whose sampled sentences are ``sampled``."""
        first = sampled[0] if sampled else ""
        return Branch(kept, first, tuple(sampled[1:]), outcome, removals)

    @property
    def sentences(self) -> tuple[str, ...]:
        """All sampled sentences."""
        return (self.replacement, *self.later) if self.replacement else self.later
