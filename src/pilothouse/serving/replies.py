"""What is answered, in the documents of the OpenAI protocol."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pilothouse.core.episodes import ASIDE, Episode
from pilothouse.core.requests import Codec, StopReason, Tokens
from pilothouse.core.results import Cost, Result
from pilothouse.serving.api import ChatRequest, Refusal
from pilothouse.serving.plans import Plan
from pilothouse.serving.text import cut


@dataclass(frozen=True)
class Choice:
    """One answer.

    Args:
        text: what the client sees.
        tokens: token ids of the answer.
        logprobs: the log-probability of each; empty where nobody can tell.
        finish: "stop" or "length".
    """

    text: str
    tokens: Tokens
    logprobs: tuple[float, ...]
    finish: str


@dataclass(frozen=True)
class Settled:
    """An outcome that is an answer.

    Args:
        result: what the program left.
        choices: the answers.
        usage: the usage figures.
    """

    result: Result
    choices: Sequence[Choice]
    usage: dict[str, Any]


def choices_of(plan: Plan, result: Result) -> list[Choice]:
    """Return the answers in a result: the samples of a plain program, else the one that a search chose.

    Raises:
        Refusal: the engine could not finish one.
    """
    codec = plan.job.posed.codec
    if plan.job.program.settles() == "token":
        return [_choice(plan, episode.text, episode) for episode in result.episodes]
    answers = (episode for episode in result.episodes if episode.text == result.answer and ASIDE not in episode.tags)
    chosen = next(answers, None)
    if chosen is not None:
        return [_choice(plan, result.answer, chosen)]
    return [Choice(cut(result.answer, plan.stops), codec.encode(result.answer), (), "stop")]


def _choice(plan: Plan, text: str, episode: Episode) -> Choice:
    if episode.stop_reason is StopReason.ERROR:
        raise Refusal(502, "the model could not finish the answer; the server's log says why", code="model_failed")
    known = not any(map(math.isnan, episode.logprobs))
    finish = "length" if episode.stop_reason is StopReason.LENGTH else "stop"
    return Choice(cut(text, plan.stops), episode.tokens, episode.logprobs if known else (), finish)


def usage(plan: Plan, choices: Sequence[Choice], cost: Cost, exact: bool) -> dict[str, Any]:
    """Return the usage figures: the answer's as clients know them, and all that was spent.

    Args:
        plan: the request.
        choices: the answers.
        cost: what the runner counted.
        exact: whether the token ids here are the model's own; else the other server's count is given.
    """
    prompt, completion = len(plan.prompt), sum(len(choice.tokens) for choice in choices)
    if not exact:
        completion = cost.tokens_sampled
        prompt = cost.tokens_computed + cost.tokens_reused - cost.tokens_sampled
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": min(prompt, cost.tokens_reused)},
        "pilothouse": {**cost.to_dict(), "seconds": round(cost.seconds, 6)},
    }


class Replies:
    """The documents that answer one request; all have the same id.

    Args:
        plan: the request.
        model: the model's name.
        codec: tokens to text.
    """

    def __init__(self, plan: Plan, model: str, codec: Codec) -> None:
        self.plan, self.chat, self._codec = plan, isinstance(plan.ask, ChatRequest), codec
        self._logprobs = plan.ask.wants_logprobs
        kind = "chat.completion" if self.chat else "text_completion"
        name = f"{'chatcmpl' if self.chat else 'cmpl'}-{secrets.token_hex(12)}"
        self._head = {"id": name, "object": kind, "created": int(time.time()), "model": model}
        self._chunk_head = {**self._head, "object": "chat.completion.chunk"} if self.chat else self._head

    def whole(self, settled: Settled) -> dict[str, Any]:
        """Return the answer in one document."""
        listed = [self._choice(at, choice) for at, choice in enumerate(settled.choices)]
        return {**self._head, "choices": listed, "usage": settled.usage} | self.extension(settled.result)

    def extension(self, result: Result) -> dict[str, Any]:
        """Return what is told beyond the protocol: the method, notes of the search and, if asked for, its record."""
        told: dict[str, Any] = {"method": self.plan.method}
        if notes := result.trace.get("notes"):
            told["notes"] = notes
        if self.plan.ask.trace:
            told["trace"] = result.trace
        return {"pilothouse": told}

    def _choice(self, at: int, choice: Choice) -> dict[str, Any]:
        said = {"message": {"role": "assistant", "content": choice.text}} if self.chat else {"text": choice.text}
        logprobs = self.logprobs(choice.tokens, choice.logprobs)
        return {"index": at, **said, "logprobs": logprobs, "finish_reason": choice.finish}

    def opening(self, at: int) -> dict[str, Any] | None:
        """Return the chunk that begins a choice: a conversation's says who speaks."""
        return self._chunk(at, {"delta": {"role": "assistant", "content": ""}}) if self.chat else None

    def piece(self, at: int, text: str, tokens: Tokens = (), logprobs: tuple[float, ...] = ()) -> dict[str, Any]:
        """Return the chunk with more of a choice's text."""
        said: dict[str, Any] = {"delta": {"content": text}} if self.chat else {"text": text}
        return self._chunk(at, said, logprobs=self.logprobs(tokens, logprobs))

    def ending(self, at: int, finish: str) -> dict[str, Any]:
        """Return the chunk that ends a choice."""
        return self._chunk(at, {"delta": {}} if self.chat else {"text": ""}, finish=finish)

    def closing(self, figures: dict[str, Any], result: Result) -> dict[str, Any]:
        """Return the last chunk, which holds the usage and no choice."""
        return {**self._chunk_head, "choices": [], "usage": figures} | self.extension(result)

    def _chunk(self, at: int, said: dict[str, Any], *, logprobs: Any = None, finish: str | None = None) -> Any:
        return {
            **self._chunk_head,
            "choices": [{"index": at, **said, "logprobs": logprobs, "finish_reason": finish}],
        }

    def logprobs(self, tokens: Tokens, logprobs: tuple[float, ...]) -> dict[str, Any] | None:
        """Return the log-probabilities of sampled tokens, if asked for and known."""
        if not self._logprobs or not tokens or len(tokens) != len(logprobs):
            return None
        texts = [self._codec.decode((token,)) for token in tokens]
        if not self.chat:
            return {"tokens": texts, "token_logprobs": list(logprobs), "top_logprobs": None, "text_offset": None}
        pairs = zip(texts, logprobs, strict=True)
        return {
            "content": [
                {"token": text, "logprob": value, "bytes": list(text.encode(errors="replace")), "top_logprobs": []}
                for text, value in pairs
            ],
            "refusal": None,
        }
