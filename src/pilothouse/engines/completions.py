"""What an OpenAI-compatible server answers, checked and read into continuations and costs."""

from __future__ import annotations

import math

from pydantic import BaseModel, NonNegativeInt, ValidationError

from pilothouse.core.requests import Codec, Continuation, Sample, StopReason, Tokens
from pilothouse.core.results import Cost


class _Message(BaseModel):
    content: str | None = None  # null beside a tool call, or when a reasoning model hit the limit before it spoke


class _TokenLogprob(BaseModel):
    logprob: float


class _Logprobs(BaseModel):
    token_logprobs: list[float | None] | None = None  # /completions
    content: list[_TokenLogprob] | None = None  # /chat/completions

    @property
    def values(self) -> list[float]:
        if self.content is not None:
            return [token.logprob for token in self.content]
        return [math.nan if value is None else value for value in self.token_logprobs or ()]


class _PromptDetails(BaseModel):
    cached_tokens: NonNegativeInt | None = None


class _Usage(BaseModel):
    prompt_tokens: NonNegativeInt
    completion_tokens: NonNegativeInt = 0
    prompt_tokens_details: _PromptDetails | None = None


class Choice(BaseModel):
    """One choice of a response; unknown fields are ignored."""

    index: int = 0
    text: str | None = None
    message: _Message | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    token_ids: tuple[int, ...] | None = None
    logprobs: _Logprobs | None = None

    @property
    def content(self) -> str:
        """The generated text, of a completion or of a chat message."""
        return (self.message.content if self.message else self.text) or ""

    def continuation(self, request: Sample, codec: Codec, *, keeps_stop: bool) -> Continuation:
        """Return the choice as a continuation.

        Args:
            request: what was asked for.
            codec: text to token ids and back.
            keeps_stop: whether the server leaves the stop string in the text.
        """
        reason, cut = self._ending(request, keeps_stop)
        text = self.content + cut
        tokens = codec.encode(text) if self.token_ids is None else self.token_ids
        values = self.logprobs.values if self.logprobs else []
        known = request.temperature in (0, 1) and len(values) == len(tokens) and all(map(math.isfinite, values))
        detail = "" if reason is not StopReason.ERROR else f"the server ended with finish_reason '{self.finish_reason}'"
        return Continuation(tokens, text, tuple(values) if known else (), reason, detail)

    def _ending(self, request: Sample, keeps_stop: bool) -> tuple[StopReason, str]:
        """Return why it ended and the stop string that the server cut off."""
        if self.finish_reason == "length":
            return StopReason.LENGTH, ""
        if self.finish_reason != "stop":
            return StopReason.ERROR, ""
        if self.content.endswith(request.stop):
            return StopReason.STOP, ""
        if "stop_reason" in self.model_fields_set:
            if isinstance(self.stop_reason, str):
                return StopReason.STOP, "" if keeps_stop else self.stop_reason
            return (StopReason.EOS if self.stop_reason is None else StopReason.STOP), ""
        if keeps_stop or not request.stop:
            return StopReason.EOS, ""
        return StopReason.STOP, request.stop[0] if len(request.stop) == 1 else ""


class Completion(BaseModel):
    """A response of ``/completions`` or ``/chat/completions``."""

    choices: list[Choice]
    usage: _Usage | None = None

    @staticmethod
    def read(body: bytes) -> Completion:
        """Return the response in a body.

        Raises:
            ValueError: it is not JSON, lacks a field or has one of the wrong type; the message says which.
        """
        try:
            completion = Completion.model_validate_json(body)
        except ValidationError as error:
            fault = error.errors(include_url=False)[0]
            where = ".".join(map(str, fault["loc"]))
            raise ValueError(f"{where}: {fault['msg']}" if where else fault["msg"]) from None
        if not completion.choices:
            raise ValueError("choices: the list is empty")
        for choice in completion.choices:
            if choice.text is None and choice.message is None:
                raise ValueError("choices: one has neither text nor message")
        completion.choices.sort(key=lambda choice: choice.index)
        return completion

    def cost(self, prompt: Tokens, sampled: int) -> Cost:
        """Return what the server says it spent; without a ``usage``, what the ids amount to.

        Args:
            prompt: token ids of the prompt.
            sampled: number of token ids in the continuations.
        """
        if self.usage is None:
            return Cost(tokens_sampled=sampled, tokens_computed=len(prompt) + sampled)
        details = self.usage.prompt_tokens_details
        reused = min(self.usage.prompt_tokens, (details and details.cached_tokens) or 0)
        return Cost(
            tokens_sampled=self.usage.completion_tokens,
            tokens_computed=self.usage.prompt_tokens + self.usage.completion_tokens - reused,
            tokens_reused=reused,
        )

    def prompt_logprobs(self, prompt: Tokens, scored: int) -> tuple[float, ...]:
        """Return the log-probabilities of the last ``scored`` tokens of a prompt echoed with one token more.

        Args:
            prompt: token ids of the prompt.
            scored: number of tokens at its end that were to be scored.

        Raises:
            ValueError: the server gave none, or its tokens are not ours.
        """
        logprobs = self.choices[0].logprobs
        values = logprobs.values if logprobs else []
        if not values:
            raise ValueError("it gives no log-probabilities of a prompt")
        count = self.usage.prompt_tokens if self.usage else len(values) - 1
        # A server that reads text may put one beginning-of-sequence token before it.
        if count not in (len(prompt), len(prompt) + 1) or len(values) < count:
            raise ValueError(f"it counts {count} prompt tokens, the codec {len(prompt)}; give the model's own codec")
        return tuple(values[count - scored : count])
