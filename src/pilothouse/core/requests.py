"""What a program may ask for, and what it is answered.

A program yields a list of requests and is resumed with the list of replies in the same order. Token sequences are
tuples of ids: what was sampled is what is scored and trained on, nothing is tokenised twice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

Tokens: TypeAlias = tuple[int, ...]


class StopReason(StrEnum):
    """Why a continuation ended."""

    EOS = "eos"  #: the model produced an end-of-sequence token
    STOP = "stop"  #: a stop string or stop token was produced
    LENGTH = "length"  #: ``max_tokens`` or the model's context was reached: the text is truncated
    CUT = "cut"  #: training went on before the response had ended; it is continued later
    ERROR = "error"  #: the engine could not finish it


@dataclass(frozen=True)
class Sample:
    """Continue ``prefix`` with ``n`` independent samples.

    Args:
        prefix: token ids to continue; a prefix shared by several requests is computed once.
        n: number of continuations.
        max_tokens: length limit of each continuation, in tokens; ``None`` leaves it to the engine's default.
        temperature: softmax temperature; 0 means greedy.
        top_p: nucleus mass kept, in (0, 1].
        top_k: number of most likely tokens kept; 0 keeps all.
        stop: strings that end a continuation; the text that completed the string is kept in the tokens.
        stop_tokens: token ids that end a continuation, besides the policy's own end-of-sequence ids.
        seed: seed of this request; ``None`` lets the runner draw one from the run's seed tree.
        policy: which of the runner's engines answers.
        first: index of the first of the n among all that the seed draws, so that one of them can be continued alone:
            the local engine draws by seed, index and position, so a continuation goes on as if it had not been cut.
    """

    prefix: Tokens
    n: int = 1
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    stop: tuple[str, ...] = ()
    stop_tokens: tuple[int, ...] = ()
    seed: int | None = None
    policy: str = "policy"
    first: int = 0


@dataclass(frozen=True)
class Logprob:
    """Score ``continuation`` after ``prefix``: the log-probability of each of its tokens.

    Args:
        prefix: token ids to condition on.
        continuation: token ids to score.
        temperature: softmax temperature the log-probabilities are taken at.
        policy: which of the runner's engines answers.
    """

    prefix: Tokens
    continuation: Tokens
    temperature: float = 1.0
    policy: str = "policy"


@dataclass(frozen=True)
class Value:
    """Ask a value head or process reward for the worth of ``prefix``.

    Args:
        prefix: token ids of the state.
        policy: which of the runner's engines or scorers answers.
        problem: id of the problem, for scorers that check against it.
        start: how many of the prefix's tokens are the problem's prompt, for scorers that read the response alone.
    """

    prefix: Tokens
    policy: str = "value"
    problem: str = ""
    start: int = 0


@dataclass(frozen=True)
class Call:
    """Call a tool by name.

    Args:
        tool: the tool's name as the runner knows it.
        arguments: keyword arguments, JSON values only.
    """

    tool: str
    arguments: dict[str, object] = field(default_factory=dict[str, object])


Request: TypeAlias = Sample | Logprob | Value | Call


@dataclass(frozen=True)
class Continuation:
    """One sampled continuation.

    Args:
        tokens: the sampled token ids, including the token that ended it (end-of-sequence or last of a stop string).
        text: the decoded tokens without special tokens.
        logprobs: log-probability of each token under the policy at the sampling temperature, before top-p and top-k
            truncation; empty when the engine cannot tell (some servers).
        stop_reason: why it ended.
        detail: a sentence about an error, empty otherwise.
    """

    tokens: Tokens
    text: str
    logprobs: tuple[float, ...]
    stop_reason: StopReason
    detail: str = ""


@dataclass(frozen=True)
class Sampled:
    """Reply to ``Sample``: its ``n`` continuations, with short cuts for the common case of one."""

    continuations: tuple[Continuation, ...]

    @property
    def only(self) -> Continuation:
        """The single continuation; raises ValueError if the request asked for several."""
        (one,) = self.continuations
        return one

    @property
    def tokens(self) -> Tokens:
        """Token ids of the single continuation."""
        return self.only.tokens

    @property
    def text(self) -> str:
        """Text of the single continuation."""
        return self.only.text

    @property
    def logprobs(self) -> tuple[float, ...]:
        """Sampler log-probabilities of the single continuation."""
        return self.only.logprobs

    @property
    def stop_reason(self) -> StopReason:
        """Stop reason of the single continuation."""
        return self.only.stop_reason


@dataclass(frozen=True)
class Scored:
    """Reply to ``Logprob``: log-probability of each token of the continuation."""

    logprobs: tuple[float, ...]


@dataclass(frozen=True)
class Valued:
    """Reply to ``Value``: the worth of the prefix, in the scorer's own unit."""

    value: float


@dataclass(frozen=True)
class Called:
    """Reply to ``Call``: the tool's output, or an error as a value."""

    output: str
    ok: bool = True


Reply: TypeAlias = Sampled | Scored | Valued | Called


class Codec(Protocol):
    """Text to token ids and back, in the vocabulary of one policy."""

    def encode(self, text: str) -> Tokens:
        """Return the token ids of ``text`` without adding special tokens."""
        ...

    def decode(self, tokens: Tokens) -> str:
        """Return the text of ``tokens`` without special tokens."""
        ...
