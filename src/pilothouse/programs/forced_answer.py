"""Forced answers: what a chain of thought would answer if it had to answer now, after each of its sentences."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Request
from pilothouse.programs.base import Steps
from pilothouse.programs.chains import Stem
from pilothouse.programs.studies import Branching


class ForcedAnswer(Branching):
    """Append a text that asks for the answer to each prefix S_{<=i} of a chain, i = 0..n-1, and sample M answers.

    Args:
        force: the text, such as "So the answer is".
        n: answers M at each point.
        answer_tokens: length limit of an answer.

    Source: the code of Thought Anchors, arXiv 2506.19143.
    """

    name: ClassVar[str] = "forced-answer"
    force: str = ""
    n: Annotated[int, Field(ge=1)] = 100
    answer_tokens: Annotated[int, Field(ge=1)] = 32

    def __call__(self, posed: Posed) -> Steps:
        """Yield the chain if none is given, then all points at once.

        Raises:
            ConfigError: there is no text to force an answer with.
        """
        if not self.force:
            raise ConfigError("which text asks for the answer? give it as --program.force 'So the answer is'")
        study = self.study(posed)
        chain = yield from self.opening(study)
        nodes = study.plant(chain)
        force = Stem.written(posed.codec.encode(self.force))
        stems = [chain.first(kept) + force for kept in chain.points]
        requests: list[Request] = [study.ask(stem, self.n, most=self.answer_tokens) for stem in stems]
        replies = yield requests
        for kept, stem, reply in zip(chain.points, stems, replies, strict=True):
            study.finish_all(stem, reply, kept=kept, node=nodes[kept])
        return study.result()
