"""Groups whose responses begin with words that were put in the policy's mouth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Sample, Sampled, Tokens
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps


def forced_request(posed: Posed, prefix: Tokens, n: int, how: Sampling) -> Sample:
    """Return the request for n continuations of prompt and forced prefix; the prefix counts towards the length limit.

    Args:
        posed: the problem.
        prefix: token ids the response begins with.
        n: continuations.
        how: how tokens are drawn.

    Raises:
        ConfigError: the prefix alone fills the response's length limit.
    """
    if how.max_tokens and len(prefix) >= how.max_tokens:
        raise ConfigError(
            f"the forced beginning of a response has {len(prefix)} tokens and the limit is {how.max_tokens}: "
            "shorten it, or raise --task.max_tokens"
        )
    return Sample(
        (*posed.prompt, *prefix),
        n=n,
        max_tokens=how.max_tokens - len(prefix) if how.max_tokens else None,
        temperature=how.temperature,
        top_p=how.top_p,
        top_k=how.top_k,
        stop=how.stop,
    )


def forced_episode(
    posed: Posed,
    prefix: Tokens,
    sample: Continuation,
    temperature: float,
    *,
    learn_forced: bool = False,
    tags: Sequence[str] = (),
) -> Episode:
    """Return the episode of one continuation of a forced prefix, which is a part of the response but no choice.

    Args:
        posed: the problem.
        prefix: token ids the response begins with.
        sample: what the policy continued it with.
        temperature: the temperature it was sampled at.
        learn_forced: let the prefix carry a loss all the same; the sampler's log-probabilities of it are unknown.
        tags: the episode's tags.
    """
    start, size = len(prefix), len(sample.tokens)
    unknown = float("nan")
    return Episode(
        prompt=posed.prompt,
        tokens=(*prefix, *sample.tokens),
        action_mask=(learn_forced,) * start + (True,) * size,
        logprobs=(unknown,) * start + (sample.logprobs or (unknown,) * size),
        text=posed.codec.decode(prefix) + sample.text,
        stop_reason=sample.stop_reason,
        temperature=temperature or 1.0,
        segments=(Segment(0, start, "forced"), Segment(start, start + size, "response")),
        problem_id=posed.id,
        tags=tuple(tags),
    )


class PrefixedGroup(Program):
    """Draws G independent responses that all begin with the same given text, such as "<think> in few words:".

    Args:
        n: group size G.
        prefix: what every response begins with; it is judged and counted as a part of the response.
        learn_forced: let the prefix carry a loss too.
        sampling: how tokens are drawn.
    """

    name: ClassVar[str] = "prefixed-group"
    n: Annotated[int, Field(ge=1)] = 8
    prefix: Annotated[str, Field(min_length=1)] = "<think> I will answer the question with minimal tokens"
    learn_forced: bool = False
    sampling: Sampling = Sampling()

    @property
    def group_size(self) -> int:
        """G."""
        return self.n

    def sized(self, samples: int) -> Self:
        """Return a group of ``samples``."""
        return self.model_copy(update={"n": samples})

    def __call__(self, posed: Posed) -> Steps:
        """Yield one request for G samples; the answer is the first response's text.

        Raises:
            ConfigError: the prefix alone fills the response's length limit.
        """
        prefix = posed.codec.encode(self.prefix)
        (reply,) = yield [forced_request(posed, prefix, self.n, self.sampling)]
        assert isinstance(reply, Sampled)
        heat, learn = self.sampling.temperature, self.learn_forced
        episodes = tuple(forced_episode(posed, prefix, s, heat, learn_forced=learn) for s in reply.continuations)
        return Result(answer=episodes[0].text, episodes=episodes)
