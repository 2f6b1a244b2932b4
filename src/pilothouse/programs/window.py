"""A window of one response: what the slots of truncated rollouts ask for."""

from __future__ import annotations

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Sample, Sampled
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps


class Window(Program):
    """Draws the next tokens of one response, given the prompt and the response so far.

    It has no name because no configuration asks for it: ``training.window`` cuts the responses of another program.

    Args:
        member: which response of its group; the draws are those that the whole group's request would have made.
        sampling: how tokens are drawn; ``max_tokens`` is the window.
    """

    member: int = 0
    sampling: Sampling = Sampling()

    def __call__(self, posed: Posed) -> Steps:
        """Yield one request; the episode's tokens are those of this window."""
        how = self.sampling
        (reply,) = yield [
            Sample(
                posed.prompt,
                max_tokens=how.max_tokens,
                temperature=how.temperature,
                top_p=how.top_p,
                top_k=how.top_k,
                stop=how.stop,
                first=self.member,
            )
        ]
        assert isinstance(reply, Sampled)
        drawn = Episode.single(posed.prompt, reply.only, problem_id=posed.id, temperature=how.temperature)
        return Result(answer=drawn.text, episodes=(drawn,))
