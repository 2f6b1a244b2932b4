"""The engine protocol: requests go in with a ticket, replies come out in the order they finish."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Codec, Reply, Request
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
