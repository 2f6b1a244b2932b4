"""Plain functions as an engine: the tools that programs call and the scorers that judge their prefixes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

from pilothouse.core.requests import Call, Called, Reply, Value, Valued
from pilothouse.core.results import Cost


class Functions:
    """Answers ``Call`` with tools and ``Value`` with scorers.

    Args:
        tools: tools by name; each takes the arguments of the ``Call`` and returns text.
        scorers: functions from a ``Value`` request to the worth of its prefix, by name.
        threads: threads that run tools; 0 runs them in ``poll``, in the order they were asked for. Scorers always run
            in ``poll``.
    """

    def __init__(
        self,
        tools: Mapping[str, Callable[..., str]],
        scorers: Mapping[str, Callable[[Value], float]],
        *,
        threads: int = 0,
    ) -> None:
        self.tools, self.scorers = tools, scorers
        self._pool = ThreadPoolExecutor(threads, "tool") if threads else None
        self._queue: list[tuple[int, Call | Value]] = []
        self._done: SimpleQueue[tuple[int, Reply]] = SimpleQueue()
        self._running = 0

    def submit(self, ticket: int, request: Call | Value) -> None:
        """Queue a request; with threads, a tool starts at once."""
        if self._pool and isinstance(request, Call):
            self._running += 1
            self._pool.submit(lambda: self._done.put((ticket, self._call(request))))
        else:
            self._queue.append((ticket, request))

    def poll(self) -> list[tuple[int, Reply, Cost]]:
        """Work through the queue, or wait for a tool; return what is answered, an empty list if nothing was asked."""
        return self._replies(wait=not self._queue)

    def finished(self) -> list[tuple[int, Reply, Cost]]:
        """Work through the queue and return what is answered, without waiting for tools in threads."""
        return self._replies(wait=False)

    def _replies(self, *, wait: bool) -> list[tuple[int, Reply, Cost]]:
        queue, self._queue = self._queue, []
        replies = [(ticket, self._answer(request), Cost()) for ticket, request in queue]
        while self._running and (wait or not self._done.empty()):
            replies.append((*self._done.get(), Cost()))
            self._running -= 1
            wait = False
        return replies

    def _answer(self, request: Call | Value) -> Reply:
        if isinstance(request, Call):
            return self._call(request)
        try:
            return Valued(float(self.scorers[request.policy](request)))
        except Exception as error:
            error.add_note(f"in scorer '{request.policy}'")
            raise

    def _call(self, request: Call) -> Called:
        try:
            output = self.tools[request.tool](**request.arguments)
        except Exception as error:  # noqa: BLE001 a tool is foreign code: its failure is an answer the program can use
            return Called(f"{type(error).__name__}: {error}", ok=False)
        if not isinstance(output, str):
            return Called(f"tool '{request.tool}' returned {type(output).__name__}; it must return text", ok=False)
        return Called(output)
