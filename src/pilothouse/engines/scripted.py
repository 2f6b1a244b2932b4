"""Scripted replies in place of a model: how programs are tested."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Codec, Continuation, Reply, Request, Sample, Sampled, StopReason
from pilothouse.core.results import Cost
from pilothouse.engines.codecs import ByteCodec

Line: TypeAlias = str | Continuation | Reply


class ScriptedEngine:
    """An engine that answers from a script, so that a program is tested without a model.

        engine = ScriptedEngine(["two", "three"])
        [result] = Runner(engine).run([Job(Group(n=2), posed, SeedTree(0))])

    A line is a whole reply, or one continuation of a ``Sample``, given as a ``Continuation`` or as its text (which
    then ends by itself, with log-probability 0 for each token). What was asked is kept in ``requests``.

    Args:
        script: lines in the order they are asked for, n of them for a sample of n; or a function from the request to
            the line, called n times for a sample of n.
        codec: text to token ids; bytes by default.
        batch: requests answered in one ``poll``, oldest first; 0 answers all.
    """

    def __init__(
        self, script: Iterable[Line] | Callable[[Request], Line], *, codec: Codec | None = None, batch: int = 0
    ) -> None:
        self._lines = None if callable(script) else iter(script)
        self._answer = script if callable(script) else self._next
        self._codec = codec or ByteCodec()
        self._batch = batch
        self._queue: deque[tuple[int, Request]] = deque()
        self.requests: list[Request] = []

    @property
    def codec(self) -> Codec:
        """Text to token ids and back."""
        return self._codec

    def submit(self, ticket: int, request: Request) -> None:
        """Queue a request."""
        self.requests.append(request)
        self._queue.append((ticket, request))

    def poll(self) -> list[tuple[int, Reply, Cost]]:
        """Answer the oldest requests.

        Raises:
            EngineError: the script has no line left, or the line does not answer the request.
        """
        done: list[tuple[int, Reply, Cost]] = []
        while self._queue and len(done) < (self._batch or len(self._queue) + len(done)):
            ticket, request = self._queue.popleft()
            reply = self._reply(request)
            sampled = sum(len(c.tokens) for c in reply.continuations) if isinstance(reply, Sampled) else 0
            done.append((ticket, reply, Cost(tokens_sampled=sampled, tokens_computed=sampled)))
        return done

    def policy_changed(self) -> None:
        """Do nothing: a script has no weights."""

    def _next(self, request: Request) -> Line:
        assert self._lines is not None
        for line in self._lines:
            return line
        raise EngineError(f"the script has no line left for {request}; add one")

    def _reply(self, request: Request) -> Reply:
        line = self._answer(request)
        if not isinstance(line, str | Continuation):
            return line
        if not isinstance(request, Sample):
            raise EngineError(f"the script answers {request} with {line!r}; give a whole reply")
        lines = [line, *(self._answer(request) for _ in range(request.n - 1))]
        return Sampled(tuple(self._continuation(line) for line in lines))

    def _continuation(self, line: Line) -> Continuation:
        if isinstance(line, Continuation):
            return line
        if isinstance(line, str):
            tokens = self._codec.encode(line)
            return Continuation(tokens, line, (0.0,) * len(tokens), StopReason.EOS)
        raise EngineError(f"the script gives {line!r} as one of several continuations; give a text or a Continuation")
