"""A response under construction, cut into steps: what beams, particles and trees grow, copy and cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, StopReason, Tokens


@dataclass(frozen=True)
class Path:
    """What was sampled so far after a problem's prompt. Paths never change: growing one makes another.

    Args:
        tokens: [T] sampled token ids.
        logprobs: [T] the sampler's log-probability of each; NaN where the engine cannot tell.
        steps: the steps, in order; they cover all tokens.
        ended: why it ended; ``None`` while it can go on.
        scores: one score a step, as a scorer gave it; fewer while scores are awaited.
        node: the trace's node of the last step; 0 is the root.
    """

    tokens: Tokens = ()
    logprobs: tuple[float, ...] = ()
    steps: tuple[Segment, ...] = ()
    ended: StopReason | None = None
    scores: tuple[float, ...] = ()
    node: int = 0

    @property
    def alive(self) -> bool:
        """Whether it can go on."""
        return self.ended is None

    def grown(self, sample: Continuation, ended: StopReason | None, *, label: str = "step", node: int = 0) -> Path:
        """Return the path with one more step.

        Args:
            sample: the continuation that is the step.
            ended: why the response ends with it; ``None`` if it goes on.
            label: what the step is called.
            node: the trace's node of the step.
        """
        start, count = len(self.tokens), len(sample.tokens)
        return replace(
            self,
            tokens=self.tokens + sample.tokens,
            logprobs=self.logprobs + (sample.logprobs or (float("nan"),) * count),
            steps=(*self.steps, Segment(start, start + count, label)),
            ended=ended,
            node=node,
        )

    def scored(self, score: float) -> Path:
        """Return the path with the score of its newest step."""
        return replace(self, scores=(*self.scores, score))

    def valued(self, values: Sequence[float]) -> Path:
        """Return the path whose steps say what the state after each of them is worth.

        Args:
            values: one a step; NaN where nobody said.
        """
        return replace(self, steps=tuple(replace(step, value=v) for step, v in zip(self.steps, values, strict=True)))

    def cut(self, steps: int) -> Path:
        """Return its first ``steps`` steps, alive again if any were cut off; its node is then the caller's to set."""
        if steps >= len(self.steps):
            return self
        stop = self.steps[steps - 1].stop if steps else 0
        return Path(
            self.tokens[:stop], self.logprobs[:stop], self.steps[:steps], scores=self.scores[:steps], node=self.node
        )

    def answer(self, posed: Posed) -> str:
        """Return the final answer of a response that the policy itself ended; empty for any other path.

        Args:
            posed: the problem.
        """
        if self.ended not in (StopReason.EOS, StopReason.STOP):
            return ""
        return posed.answer_of(posed.codec.decode(self.tokens))

    def episode(self, posed: Posed, temperature: float) -> Episode:
        """Return the path as an episode: every token was the policy's choice, and its steps are the segments.

        Args:
            posed: the problem.
            temperature: the temperature it was sampled at.
        """
        return Episode(
            prompt=posed.prompt,
            tokens=self.tokens,
            action_mask=(True,) * len(self.tokens),
            logprobs=self.logprobs,
            text=posed.codec.decode(self.tokens),
            stop_reason=self.ended or StopReason.LENGTH,
            temperature=temperature or 1.0,
            segments=self.steps,
            problem_id=posed.id,
        )
