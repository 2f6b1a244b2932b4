"""Resilience: how often content must be removed from a chain of thought before it stays away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.embedders import Likeness
from pilothouse.core.errors import DataError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Request, Sampled
from pilothouse.programs.base import Steps
from pilothouse.programs.chains import Stem
from pilothouse.programs.studies import Branching, Study


@dataclass
class _Repeat:
    """One run of the algorithm: what it goes on from, and how often it has removed the content."""

    stem: Stem
    said: list[str] = field(default_factory=list[str])
    removals: int = 0
    rejected: int = -1  # draws rejected at this position; -1 where the next sentence may be anything


class Resilience(Branching):
    """Remove a sentence, and every sentence like it that comes up later, until none does.

    From S_{<i}, sample a continuation; at its first sentence similar to S_i, cut, draw the sentence there by rejection
    until it is not similar, and go on from it. A rejected continuation is thrown away whole, an accepted one is kept
    whole: rejecting by the first sentence alone leaves what follows as the policy would have it.

    Args:
        index: the sentence i, counted from 1.
        n: repeats M.
        likeness: when a sentence is similar to S_i.
        most: removals K_max at which a repeat stops.
        rejections: draws at one position before giving up.

    Source: Thought Branches, arXiv 2510.27484, algorithm 1.
    """

    name: ClassVar[str] = "resilience"
    index: Annotated[int, Field(ge=1)] = 1
    n: Annotated[int, Field(ge=1)] = 100
    likeness: Likeness = Likeness()
    most: Annotated[int, Field(ge=1)] = 20
    rejections: Annotated[int, Field(ge=1)] = 50

    def __call__(self, posed: Posed) -> Steps:
        """Yield the chain if none is given, then one continuation at a time for every repeat under way.

        Raises:
            DataError: the chain given has no such sentence, or the rejection draw gives up.
        """
        study = self.study(posed)
        chain = yield from self.opening(study, self.index)
        target = chain.sentence(self.index)
        nodes = study.plant(chain)[: self.index]
        active = [_Repeat(chain.first(len(nodes) - 1)) for _ in range(self.n)]
        while active:
            requests: list[Request] = [study.ask(repeat.stem) for repeat in active]
            replies = yield requests
            going: list[_Repeat] = []
            for repeat, reply in zip(active, replies, strict=True):
                assert isinstance(reply, Sampled)
                if self._ends(repeat, reply.only, target, study):
                    kept, removals = len(nodes) - 1, repeat.removals
                    study.finish(
                        repeat.stem, reply.only, kept=kept, node=nodes[-1], said=repeat.said, removals=removals
                    )
                else:
                    going.append(repeat)
            active = going
        return study.result()

    def _ends(self, repeat: _Repeat, sample: Continuation, target: str, study: Study) -> bool:
        """Take a continuation into account; return whether the repeat ends with it."""
        drawn = study.read(sample)
        found = np.flatnonzero(self.likeness.alike(target, drawn.sentences)).tolist() if target else []
        if repeat.rejected >= 0 and found and not found[0]:
            repeat.rejected += 1
            if repeat.rejected >= self.rejections:
                raise DataError(
                    f"{target!r} came back in each of {self.rejections} draws at one position, so no other sentence "
                    "can take its place: raise --program.rejections or --program.likeness.threshold, or study another "
                    "sentence"
                )
            return False
        if not found:
            return True
        repeat.removals += 1
        if repeat.removals >= self.most:
            return True
        repeat.stem += drawn.first(found[0])
        repeat.said += drawn.sentences[: found[0]]
        repeat.rejected = 0
        return False
