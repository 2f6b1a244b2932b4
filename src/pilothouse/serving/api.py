"""The requests of the OpenAI protocol that are understood, and how everything else is refused."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pilothouse.core.errors import nearest

SEEDS = 2**63


class Refusal(Exception):
    """An answer that is no success, as the protocol words it.

    Args:
        status: the HTTP status.
        message: one sentence for the client's user; no paths, no secrets.
        param: the field at fault.
        code: a word for programs.
        headers: further headers of the response.
    """

    KINDS: ClassVar[dict[int, str]] = {401: "authentication_error", 429: "rate_limit_error", 503: "server_busy"}

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON document of the response."""
        kind = self.KINDS.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class StreamOptions(_Strict):
    """What a stream tells besides the answer.

    Args:
        include_usage: end with a chunk that holds the usage figures.
    """

    include_usage: bool = False


class TextPart(_Strict):
    """A piece of a message; only text is understood."""

    type: Literal["text"]
    text: str


class ResponseFormat(_Strict):
    """The only format there is."""

    type: Literal["text"]


class ChatMessage(_Strict):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(max_length=256)]
    name: str | None = None

    @property
    def text(self) -> str:
        """The content as one string."""
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)


class Ask(_Strict):
    """What both kinds of request share; every field that is absent leaves the program's own setting.

    Args:
        method: the method or program that answers, instead of the server's own.
        budget: what the answer may cost, such as 16 or "4096-tokens".
        trace: send the record of the search with the answer.
    """

    model: str | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    n: Annotated[int, Field(ge=1)] | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    seed: Annotated[int, Field(ge=-SEEDS, lt=SEEDS)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    presence_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    frequency_penalty: Annotated[float, Field(ge=0, le=0)] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    method: str | None = None
    budget: str | Annotated[int, Field(ge=1)] | None = None
    trace: bool = False

    @property
    def stops(self) -> tuple[str, ...] | None:
        """The stop strings; ``None`` if none are given."""
        return (self.stop,) if isinstance(self.stop, str) else None if self.stop is None else tuple(self.stop)

    @property
    def limit(self) -> int | None:
        """The length limit asked for, in tokens."""
        return self.max_tokens

    @property
    def wants_logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return False

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if self.stops and not all(1 <= len(stop) <= 256 for stop in self.stops):
            raise ValueError("a stop string has between 1 and 256 characters")
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is for streams only: set stream to true, or leave it out")
        return self


class ChatRequest(Ask):
    """The body of ``POST /v1/chat/completions``."""

    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=1024)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=0)] | None = None
    response_format: ResponseFormat | None = None

    @property
    def limit(self) -> int | None:
        """The length limit asked for, in tokens; both names of it are known."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return bool(self.logprobs)


class CompletionRequest(Ask):
    """The body of ``POST /v1/completions``."""

    prompt: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[int, Field(ge=0, lt=2**31)]], Field(min_length=1)]
        | Annotated[list[str], Field(min_length=1, max_length=1)]
    )
    logprobs: Annotated[int, Field(ge=0, le=1)] | None = None
    echo: Literal[False] | None = None
    best_of: Literal[1] | None = None
    suffix: None = None

    @property
    def wants_logprobs(self) -> bool:
        """Whether log-probabilities are asked for."""
        return self.logprobs is not None


RequestT = TypeVar("RequestT", bound=Ask)
Body: TypeAlias = bytes | bytearray


def read(model: type[RequestT], body: Body) -> RequestT:
    """Return the request in a body.

    Args:
        model: the kind of request.
        body: what the client sent.

    Raises:
        Refusal: 400, with one sentence that names the field and what it must be.
    """
    try:
        return model.model_validate_json(body)
    except ValidationError as report:
        first = report.errors(include_url=False, include_input=False)[0]
    # Steps of a union's members are in the path too; a reader wants the fields alone.
    known = [str(step) for step in first["loc"] if isinstance(step, int) or str(step) in _FIELDS]
    where = ".".join(known) or None
    if first["type"] == "json_invalid":
        raise Refusal(400, "the body is not JSON; send a JSON object with Content-Type application/json")
    if first["type"] == "extra_forbidden":
        name = str(first["loc"][-1])[:64]
        message = f"this server does not know the field '{name}'{nearest(name, model.model_fields)}; leave it out"
        raise Refusal(400, message, param=name, code="unknown_field")
    if first["type"] == "value_error":
        raise Refusal(400, first["msg"].removeprefix("Value error, "))
    said = first["msg"][0].lower() + first["msg"][1:]
    raise Refusal(400, f"field '{where}': {said}" if where else f"the body: {said}", param=where)


_FIELDS = {
    name
    for model in (ChatRequest, CompletionRequest, ChatMessage, TextPart, StreamOptions, ResponseFormat)
    for name in model.model_fields
}
