"""Best-of-N: N independent responses, and the one a scorer or a vote prefers."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Sample, Sampled, Value
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps
from pilothouse.programs.choose import best, vote
from pilothouse.programs.scores import worth
from pilothouse.programs.trace import Trace


class BestOfN(Program):
    """Draw N responses and answer with one of them.

    - ``score``: the highest score (Stiennon et al. 2020, arXiv 2009.01325).
    - ``majority``: the most frequent final answer, self-consistency (Wang et al. 2022, arXiv 2203.11171).
    - ``weighted``: the final answer with the greatest sum of scores, weighted best-of-N (Li et al. 2022, arXiv
      2206.02336).

    Args:
        n: responses N.
        select: how one is chosen.
        sampling: how tokens are drawn.
    """

    name: ClassVar[str] = "best-of-n"
    n: Annotated[int, Field(ge=1)] = 8
    select: Literal["score", "majority", "weighted"] = "score"
    sampling: Sampling = Sampling()

    @property
    def group_size(self) -> int:
        """N."""
        return self.n

    def needs_scorer(self) -> bool:
        """Return whether responses are scored: a majority needs no scores."""
        return self.select != "majority"

    def sized(self, samples: int) -> Self:
        """Return best-of-``samples``."""
        return self.model_copy(update={"n": samples})

    def __call__(self, posed: Posed) -> Steps:
        """Yield N samples, then their scores if they are needed; the answer is the chosen response."""
        how = self.sampling
        (reply,) = yield [
            Sample(
                posed.prompt,
                n=self.n,
                max_tokens=how.max_tokens or None,
                temperature=how.temperature,
                top_p=how.top_p,
                top_k=how.top_k,
                stop=how.stop,
            )
        ]
        assert isinstance(reply, Sampled)
        drawn, start = reply.continuations, len(posed.prompt)
        scores: list[float] = []
        if self.needs_scorer():
            replies: list[Reply] = yield [Value(posed.prompt + c.tokens, problem=posed.id, start=start) for c in drawn]
            scores = [worth(reply, f"response {at}") for at, reply in enumerate(replies)]
        answers = [posed.answer_of(c.text) for c in drawn]
        if self.select == "score":
            chosen = best(scores)
        else:
            chosen = vote(answers, scores if self.select == "weighted" else None)
        trace = Trace(self.name)
        for at, (sample, answer) in enumerate(zip(drawn, answers, strict=True)):
            facts = {"score": scores[at]} if scores else {}
            trace.add(0, sample.text, len(sample.tokens), state="finished", answer=answer, **facts)
        trace.choose(1 + chosen)
        episodes = tuple(
            Episode.single(posed.prompt, c, problem_id=posed.id, temperature=how.temperature) for c in drawn
        )
        return Result(drawn[chosen].text, episodes, trace.to_dict())
