"""Resampling a chain of thought from each of its prefixes: what every importance is computed from."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.problems import Posed
from pilothouse.core.requests import Request
from pilothouse.programs.base import Steps
from pilothouse.programs.studies import Branching


class Resample(Branching):
    """Continue a chain M times from S_{<i} for each sentence i: the sets R_i that all metrics share.

    The last sentence ends the response, so it is not removed: a chain of n sentences gives R_1 to R_n and the
    importance of sentences 1 to n - 1. The answer is the majority of the resamples.

    Args:
        n: continuations M of each prefix.
        most: study the first ``most`` sentences only; 0 studies all.

    Source: Thought Branches, arXiv 2510.27484, equations 1 and 2.
    """

    name: ClassVar[str] = "resample"
    n: Annotated[int, Field(ge=1)] = 100
    most: Annotated[int, Field(ge=0)] = 0

    def __call__(self, posed: Posed) -> Steps:
        """Yield the chain if none is given, then all prefixes at once."""
        study = self.study(posed)
        chain = yield from self.opening(study)
        nodes = study.plant(chain)
        points = chain.points[: self.most + 1] if self.most else chain.points
        requests: list[Request] = [study.ask(chain.first(kept), self.n) for kept in points]
        replies = yield requests
        for kept, reply in zip(points, replies, strict=True):
            study.finish_all(chain.first(kept), reply, kept=kept, node=nodes[kept])
        return study.result()
