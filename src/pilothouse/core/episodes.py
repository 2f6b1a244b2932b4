"""An episode: one attempt at a problem, token in and token out."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pilothouse.core.problems import Score
from pilothouse.core.requests import Continuation, StopReason, Tokens

#: Tag of an episode that is not the answer but led to it: its text is the answer's, so that a task judges that.
ASIDE = "aside"


@dataclass(frozen=True)
class Segment:
    """A stretch of a response, for methods that credit parts of it.

    Args:
        start: first token, counted from the start of the response.
        stop: one past the last token.
        label: what it is ("step", "tool", a tree node's id).
        value: what a search found the state after the last token to be worth; NaN if nobody said.
    """

    start: int
    stop: int
    label: str = ""
    value: float = float("nan")


@dataclass(frozen=True)
class Episode:
    """One attempt: what the policy was given, what it chose, what the world answered.

    The action mask is made here, once, and every loss uses it: tokens a tool or the environment wrote are False.

    Args:
        prompt: token ids the attempt starts from.
        tokens: [T] token ids after the prompt, chosen by the policy or inserted by the environment.
        action_mask: [T] True where the policy chose the token.
        logprobs: [T] the sampler's log-probability of each chosen token at ``temperature``; NaN where it did not
            choose or the engine could not tell.
        text: the response's text.
        stop_reason: why it ended; LENGTH means truncated, CUT that it has not ended yet.
        temperature: the softmax temperature it was sampled at (0 is recorded as 1: greedy decoding has no softmax).
        segments: stretches of the response.
        problem_id: the problem attempted.
        score: the task's verdict; ``None`` until scored.
        start: first token drawn since the last update; those before it were drawn, and trained on, at earlier steps.

    Raises:
        ValueError: the three [T] fields differ in length.
    """

    prompt: Tokens
    tokens: Tokens
    action_mask: tuple[bool, ...]
    logprobs: tuple[float, ...]
    text: str = ""
    stop_reason: StopReason = StopReason.EOS
    temperature: float = 1.0
    segments: tuple[Segment, ...] = ()
    problem_id: str = ""
    score: Score | None = None
    tags: tuple[str, ...] = field(default=())
    start: int = 0

    def __post_init__(self) -> None:
        """Refuse fields that do not line up."""
        if not len(self.tokens) == len(self.action_mask) == len(self.logprobs):
            raise ValueError(
                f"episode fields differ in length: {len(self.tokens)} tokens, {len(self.action_mask)} mask entries, "
                f"{len(self.logprobs)} log-probs; give one of each per response token"
            )

    @property
    def truncated(self) -> bool:
        """Whether the response hit its length limit."""
        return self.stop_reason is StopReason.LENGTH

    @property
    def unfinished(self) -> bool:
        """Whether the response goes on at a later step."""
        return self.stop_reason is StopReason.CUT

    def scored(self, score: Score) -> Episode:
        """Return a copy that carries ``score``."""
        return replace(self, score=score)

    @staticmethod
    def single(prompt: Tokens, sample: Continuation, *, problem_id: str = "", temperature: float = 1.0) -> Episode:
        """Return the episode of one continuation: every token was the policy's choice.

        Args:
            prompt: token ids the continuation was sampled from.
            sample: the continuation.
            problem_id: the problem attempted.
            temperature: the temperature it was sampled at.
        """
        count = len(sample.tokens)
        return Episode(
            prompt=prompt,
            tokens=sample.tokens,
            action_mask=(True,) * count,
            logprobs=sample.logprobs or (float("nan"),) * count,
            text=sample.text,
            stop_reason=sample.stop_reason,
            temperature=temperature or 1.0,
            segments=(Segment(0, count, "response"),),
            problem_id=problem_id,
        )
