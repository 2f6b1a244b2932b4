"""The engine protocol: requests go in with a ticket, replies come out in the order they finish."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Codec, Reply, Request, Tokens
from pilothouse.core.results import Cost

#: A ticket, its reply and its cost; an EngineError in the reply's place concerns that request alone.
Answer: TypeAlias = tuple[int, Reply | EngineError, Cost]


@runtime_checkable
class Engine(Protocol):
    """Answers requests. One engine serves many programs at once; nothing here knows what a program is."""

    @property
    def codec(self) -> Codec:
        """Text to token ids and back in this policy's vocabulary."""
        ...

    def submit(self, ticket: int, request: Request) -> None:
        """Queue a request.

        Args:
            ticket: the caller's handle, returned with the reply.
            request: what to answer; a ``Sample`` must carry its seed.

        Raises:
            EngineError: the request can never be answered (longer than the context, say).
        """
        ...

    def poll(self) -> Sequence[Answer]:
        """Work until at least one queued request is answered and return the finished ones with what each one cost.

        Returns an empty list only when nothing is queued. ``seconds`` of the cost is 0: the runner keeps the clock.

        Raises:
            EngineError: the engine broke down and can answer nothing any more. Trouble with one request is part of
                its answer: a continuation with ``StopReason.ERROR`` for a ``Sample``, else an EngineError.
        """
        ...

    def policy_changed(self) -> None:
        """Forget whatever was computed with earlier weights."""
        ...


@runtime_checkable
class RemoteEngine(Engine, Protocol):
    """An engine whose work is done elsewhere, so that its caller can look at others while it waits."""

    def finished(self) -> Sequence[Answer]:
        """Return what is answered by now, as ``poll`` does but without waiting; an empty list if nothing is."""
        ...


@dataclass(frozen=True)
class Partial:
    """What was drawn of a ``Sample`` that is not finished.

    Args:
        ticket: the request.
        index: which of its continuations.
        tokens: the tokens drawn since it was last reported.
        logprobs: the log-probability of each; empty where the engine cannot tell.
    """

    ticket: int
    index: int
    tokens: Tokens
    logprobs: tuple[float, ...] = ()


@runtime_checkable
class CancellingEngine(Engine, Protocol):
    """An engine that can drop what it was asked for."""

    def cancel(self, ticket: int) -> None:
        """Drop a request: its rows leave the batch at once and no answer comes; an unknown ticket is ignored."""
        ...


@runtime_checkable
class SteppedEngine(Engine, Protocol):
    """An engine that works in small pieces and tells what it drew: for callers that send tokens on as they come."""

    def step(self) -> Sequence[Answer]:
        """Do one small piece of the queued work and return what is answered by then; perhaps nothing."""
        ...

    def progress(self, tickets: Container[int]) -> Sequence[Partial]:
        """Return what was drawn of the given requests since they were last reported.

        What a continuation draws last may come only with its answer.
        """
        ...
