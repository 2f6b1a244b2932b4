"""Why a path of a tree is given up, or is complete, before its length runs out."""

from __future__ import annotations

from collections import Counter
from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.parts import Catalogue, Part
from pilothouse.core.requests import StopReason


class EarlyStop(Part):
    """A rule that ends a path after a segment. A rule is pure: the same texts always give the same verdict.

    Class attributes:
        reason: what the path's end is called.
        ends_as: the stop reason of a path that had not ended by itself.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("early stop", "pilothouse.programs")
    reason: ClassVar[str] = ""
    ends_as: ClassVar[StopReason] = StopReason.STOP

    def __call__(self, *, segment: str, response: str, answer: str, ended: bool) -> bool:
        """Return whether the path ends here.

        Args:
            segment: text of the newest segment.
            response: text of the whole response so far.
            answer: its final answer; empty if there is none yet.
            ended: whether it has ended by itself, with an end-of-sequence token or a stop string.
        """
        raise NotImplementedError


class Repetition(EarlyStop):
    """Gives up a path whose newest segment repeats itself: some stretch of text occurs again and again.

    Args:
        characters: length of the stretch.
        times: occurrences, overlapping ones included, from which on it is babble.
    """

    name: ClassVar[str] = "repetition"
    reason: ClassVar[str] = "repetition"
    ends_as: ClassVar[StopReason] = StopReason.LENGTH
    characters: Annotated[int, Field(ge=1)] = 32
    times: Annotated[int, Field(ge=2)] = 8

    def __call__(self, *, segment: str, response: str, answer: str, ended: bool) -> bool:
        """Return whether any stretch occurs too often."""
        starts = range(len(segment) - self.characters + 1)
        seen = Counter(segment[at : at + self.characters] for at in starts)
        return max(seen.values(), default=0) >= self.times


class Answered(EarlyStop):
    """Tells responses that end with a final answer from those that merely end.

    Args:
        without_end: also end a path that has a final answer and would go on; the answer must be one that cannot grow,
            such as a closed box.
    """

    name: ClassVar[str] = "answered"
    reason: ClassVar[str] = "answered"
    without_end: bool = False

    def __call__(self, *, segment: str, response: str, answer: str, ended: bool) -> bool:
        """Return whether there is an answer and the response has ended."""
        return bool(answer) and (ended or self.without_end)
