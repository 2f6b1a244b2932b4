"""A group of independent samples: what GRPO and its family learn from, and best-of-N without the choosing."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Sample, Sampled
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Settles, Steps


class Group(Program):
    """Draw G independent responses to the same prompt (Shao et al. 2024, arXiv 2402.03300, section 4.1).

    Args:
        n: group size G.
        sampling: how tokens are drawn.
    """

    name: ClassVar[str] = "group"
    n: Annotated[int, Field(ge=1)] = 8
    sampling: Sampling = Sampling()

    @property
    def group_size(self) -> int:
        """G."""
        return self.n

    def settles(self) -> Settles:
        """Return that every token is final when it is drawn."""
        return "token"

    def sized(self, samples: int) -> Self:
        """Return a group of ``samples``."""
        return self.model_copy(update={"n": samples})

    def __call__(self, posed: Posed) -> Steps:
        """Yield one request for G samples; the answer is the first sample's text."""
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
        episodes = tuple(
            Episode.single(posed.prompt, sample, problem_id=posed.id, temperature=how.temperature)
            for sample in reply.continuations
        )
        return Result(answer=episodes[0].text, episodes=episodes)
