"""Any OpenAI-compatible server as an engine: hosted APIs, vLLM, SGLang, llama.cpp, ``transformers serve``."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Container, Coroutine, Mapping
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, Self, TypeVar

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.requests import (
    Codec,
    Continuation,
    Logprob,
    Reply,
    Request,
    Sample,
    Sampled,
    Scored,
    StopReason,
    Tokens,
)
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.base import Answer, Partial
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.completions import Completion
from pilothouse.engines.events import Events
from pilothouse.engines.transcripts import unpack

T = TypeVar("T")

SERVER_SEEDS = 2**31  #: servers read a seed as a signed or unsigned 32-bit number
MAX_BODY = 64 * 2**20


class OpenAIEngine:
    """Samples from a server through ``/completions``, or ``/chat/completions`` with ``chat``.

    Prefixes are decoded to text; with ``token_ids`` they are sent as ids and exact ids come back. Without it the
    reply's text is encoded again: its ids may differ from those the model produced and the end-of-sequence token is
    missing, so train on remote samples only with ``token_ids``.

    Log-probabilities are those the server gives for temperature 1. They are left empty at any other temperature but
    0, and where they do not line up with the ids one by one.

    Chat: a prefix that is a transcript (``engines/transcripts.py``) is sent as its messages, whatever ``chat`` says.
    Any other becomes one user message. That is right for a fresh problem; a program that continues its own earlier
    output shows that output to the model as if the user had written it.

    Stop strings: servers differ in whether they leave them in the text. One that cut it off is restored where the
    server says which it was (vLLM's ``stop_reason``) or only one was asked for. In the latter case the end of a
    sequence looks the same: set ``keeps_stop`` if the server leaves them in (``transformers serve``; vLLM with
    ``extra={"include_stop_str_in_output": True}``).

    A request that fails for good (server down, slow, refusing it, answering rubbish) is a continuation with
    ``StopReason.ERROR`` and the reason; a key, address or model that is wrong ends the run with an EngineError from
    ``poll``. Costs are the server's ``usage``, else counted with the codec.

    Args:
        base_url: address of the API, such as ``http://localhost:8000/v1``; without a path, ``/v1`` is added.
        model: the model's name as the server knows it.
        codec: the policy's text to token ids and back; bytes by default.
        api_key: the key; ``None`` reads OPENAI_API_KEY. It is never shown.
        chat: use ``/chat/completions``.
        token_ids: the server takes prompts as ids and returns ids when asked with ``return_token_ids`` (vLLM).
        logprobs: ask for log-probabilities; switch off for servers that refuse the question.
        keeps_stop: the server leaves the stop string in the text.
        max_tokens: length limit of a sample that states none, in tokens.
        max_concurrency: HTTP requests under way at once.
        timeout_s: seconds one attempt may take.
        deadline_s: seconds an HTTP request may take over all attempts, counted from the first.
        retries: attempts after the first, upon HTTP 408, 425, 429, 5xx, timeouts and broken connections.
        backoff_s: mean pause before the first retry in seconds; it doubles with each. ``Retry-After`` is honoured.
        max_body: largest response body, in bytes.
        extra: fields added to each request body; a field given as ``None`` is left out.
        seed: seeds the jitter of the pauses.
        patient: a wrong key, address or model is the answer to the request that met it, and does not end the run: for
            servers that outlive the trouble.
        stream: ask for samples as events, so that ``progress`` can tell of them while they are made; gives no
            log-probabilities and no exact ids.

    Raises:
        ConfigError: httpx is not installed, or the address or key cannot be used.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        codec: Codec | None = None,
        api_key: str | None = None,
        chat: bool = False,
        token_ids: bool = False,
        logprobs: bool = True,
        keeps_stop: bool = False,
        max_tokens: int = 512,
        max_concurrency: int = 32,
        timeout_s: float = 120.0,
        deadline_s: float = 600.0,
        retries: int = 5,
        backoff_s: float = 0.5,
        max_body: int = MAX_BODY,
        extra: Mapping[str, Any] | None = None,
        seed: int = 0,
        patient: bool = False,
        stream: bool = False,
    ) -> None:
        try:
            from pilothouse.engines.transport import RequestFailed, Transport
        except ModuleNotFoundError as error:
            if error.name != "httpx":
                raise
            raise ConfigError("OpenAIEngine needs httpx; install it with: pip install 'pilothouse[remote]'") from None
        self._failed = RequestFailed
        self._transport = Transport(
            base_url,
            (os.environ.get("OPENAI_API_KEY", "") if api_key is None else api_key).strip(),
            max_concurrency=max_concurrency,
            timeout_s=timeout_s,
            deadline_s=deadline_s,
            retries=retries,
            backoff_s=backoff_s,
            max_body=max_body,
            seeds=SeedTree(seed) / "backoff",
        )
        self.model, self._codec, self._chat, self._token_ids = model, codec or ByteCodec(), chat, token_ids
        self._logprobs, self._keeps_stop, self._max_tokens = logprobs and not stream, keeps_stop, max_tokens
        self._extra = dict(extra or {})
        self._one_by_one, self._patient, self._stream = False, patient, stream
        self._pieces: SimpleQueue[Partial] = SimpleQueue()
        self._done: SimpleQueue[tuple[int, Future[tuple[Any, Cost]]]] = SimpleQueue()
        self._outstanding: dict[int, Future[tuple[Any, Cost]]] = {}
        self._broken: EngineError | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"engine {model}", daemon=True)
        self._thread.start()

    @property
    def codec(self) -> Codec:
        """Text to token ids and back."""
        return self._codec

    def submit(self, ticket: int, request: Request) -> None:
        """Send a request as soon as there is a free slot; return at once.

        Raises:
            EngineError: a server cannot answer this kind of request.
        """
        if self._loop.is_closed():
            raise EngineError("this engine is closed; make another")
        if isinstance(request, Sample):
            work = self._sample(request, ticket)
        elif isinstance(request, Logprob):
            work = self._score(request)
            if self._chat or request.temperature != 1:
                work.close()
                raise EngineError("a server scores tokens only at temperature 1 and without chat; use a local engine")
        else:
            raise EngineError(f"a server cannot answer a {type(request).__name__}; give the runner a scorer or a tool")
        self._outstanding[ticket] = self._spawn(work)
        self._outstanding[ticket].add_done_callback(lambda future: self._done.put((ticket, future)))

    def poll(self) -> list[Answer]:
        """Wait until a request is answered and return all that are, in the order they were.

        Raises:
            EngineError: the server refuses everything: key, address or model are wrong.
        """
        return self._take(wait=True)

    def finished(self) -> list[Answer]:
        """Return what is answered by now without waiting; raises as ``poll`` does."""
        return self._take(wait=False)

    def policy_changed(self) -> None:
        """Do nothing: the weights are the server's."""

    def check(self, prefix: Tokens) -> None:
        """Ask for one token after ``prefix``, so that a wrong address, key or model shows before any work is done.

        Raises:
            EngineError: the server cannot be reached, refuses the request or answers rubbish.
        """
        found, _ = self._spawn(self._ask(Sample(prefix, max_tokens=1), 0, 1)).result()
        if found[0].stop_reason is StopReason.ERROR:
            raise EngineError(found[0].detail)

    def close(self) -> None:
        """Give up what is under way, close the connections and end the thread."""
        if self._loop.is_closed():
            return
        self._spawn(self._shut()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._outstanding, self._done = {}, SimpleQueue()

    def __enter__(self) -> Self:
        """Return the engine."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the engine."""
        self.close()

    def _take(self, *, wait: bool) -> list[Answer]:
        if self._broken:
            raise self._broken
        answers: list[Answer] = []
        while self._outstanding and (wait or not self._done.empty()):
            ticket, future = self._done.get()
            if self._outstanding.pop(ticket, None) is None:
                continue  # cancelled
            wait = False
            try:
                answers.append((ticket, *future.result()))
            except EngineError as error:
                if not self._patient:
                    self._broken = error
                    raise
                answers.append((ticket, error, Cost()))
        return answers

    def cancel(self, ticket: int) -> None:
        """Drop a request: its connection to the server is closed and no answer comes."""
        if future := self._outstanding.pop(ticket, None):
            future.cancel()

    def _spawn(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _shut(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._transport.close()

    def step(self) -> list[Answer]:
        """Return what is answered by now: the work is done elsewhere."""
        return self._take(wait=False)

    def progress(self, tickets: Container[int]) -> list[Partial]:
        """Return the text that arrived since the last call, in this codec's ids, of the given requests."""
        pieces: list[Partial] = []
        while not self._pieces.empty():
            pieces.append(self._pieces.get())
        return [piece for piece in pieces if piece.ticket in tickets]

    async def _sample(self, request: Sample, ticket: int) -> tuple[Reply, Cost]:
        """Ask for all n at once; a server that ignores ``n`` is asked for the rest, and from then on, one by one."""
        found: list[Continuation] = []
        cost = Cost()
        if not self._one_by_one:
            found, cost = await self._ask(request, 0, request.n, ticket)
            self._one_by_one |= len(found) < request.n
        rest = await asyncio.gather(*(self._ask(request, i, 1, ticket) for i in range(len(found), request.n)))
        return Sampled((*found, *(one for more, _ in rest for one in more))), sum((spent for _, spent in rest), cost)

    async def _ask(self, request: Sample, first: int, count: int, ticket: int = -1) -> tuple[list[Continuation], Cost]:
        """Return at most ``count`` continuations; ``first`` is the first one's place in the request."""

        def tell(at: int, text: str) -> None:
            if at < count:
                self._pieces.put(Partial(ticket, first + at, self._codec.encode(text)))

        body: dict[str, Any] = {
            "max_tokens": self._max_tokens if request.max_tokens is None else request.max_tokens,
            "temperature": request.temperature,
        }
        # Servers refuse or warn of fields they do not know: none is sent that changes nothing.
        body |= {"top_p": request.top_p} if request.top_p < 1 else {}
        body |= {"top_k": request.top_k} if request.top_k else {}
        body |= {"stop": list(request.stop)} if request.stop else {}
        body |= {"stop_token_ids": list(request.stop_tokens)} if request.stop_tokens else {}
        body |= {"n": count} if count > 1 else {}
        if request.seed is not None:
            body["seed"] = (SeedTree(request.seed) / first).integer() % SERVER_SEEDS
        if self._logprobs and request.temperature in (0, 1):
            body["logprobs"] = 1
        try:
            answer = await self._post(request.prefix, body, Events(tell) if self._stream else None)
        except self._failed as error:
            return [Continuation((), "", (), StopReason.ERROR, str(error))] * count, Cost()
        found = [
            choice.continuation(request, self._codec, keeps_stop=self._keeps_stop) for choice in answer.choices[:count]
        ]
        return found, answer.cost(request.prefix, sum(len(one.tokens) for one in found))

    async def _score(self, request: Logprob) -> tuple[Reply | EngineError, Cost]:
        prompt = request.prefix + request.continuation
        try:
            answer = await self._post(prompt, {"max_tokens": 1, "echo": True, "logprobs": 1})
            scores = answer.prompt_logprobs(prompt, len(request.continuation))
        except self._failed as error:
            return EngineError(str(error)), Cost()
        except ValueError as error:
            return EngineError(f"the server at {self._transport.where} cannot score: {error}"), Cost()
        return Scored(scores), answer.cost(prompt, 0)

    async def _post(self, prompt: Tokens, body: dict[str, Any], events: Events | None = None) -> Completion:
        """Send a request and read its answer.

        Raises:
            RequestFailed: there is no answer or it is rubbish.
            EngineError: the server refuses everything.
        """
        body = {"model": self.model, **body}
        text = "" if self._token_ids and not self._chat else self._codec.decode(prompt)
        messages = unpack(text) or ([{"role": "user", "content": text}] if self._chat else None)
        if messages:
            body["messages"] = messages
            body |= {"logprobs": True} if "logprobs" in body else {}
        else:
            body["prompt"] = list(prompt) if self._token_ids else text
        body |= {"return_token_ids": True} if self._token_ids else {}
        body |= {"stream": True, "stream_options": {"include_usage": True}} if events else {}
        path = "chat/completions" if messages else "completions"
        body = {name: value for name, value in (body | self._extra).items() if value is not None}
        content = await self._transport.post(path, body, events)
        try:
            return Completion.read(content) if content or not events else events.completion()
        except ValueError as error:
            raise self._failed(f"the server at {self._transport.where} answers rubbish: {error}") from None
