"""One thread owns the engines; the event loop hands it jobs and is told what became of them.

The thread works in small pieces: between two decoding steps it takes in new jobs, drops those whose client went away
and sends on what was drawn. All news of a step cross to the event loop together.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import threading
from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import TypeAlias

from pilothouse.core.errors import EngineError
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.session import WAIT_S, Outcome, Piece, Session

LOG = logging.getLogger("pilothouse.serving")

#: What a ticket hears: pieces of the answer, then the outcome; ``None`` means that nobody listens any more.
News: TypeAlias = Piece | Outcome | None


class Full(Exception):
    """As many jobs are under way and queued as may be."""


@dataclass(eq=False)
class Ticket:
    """A job that was handed in.

    Args:
        number: its place in the order of arrival.
        job: what to run.
        watch: whether pieces of the answer are wanted.
        news: what became of it so far.
        over: whether it has an outcome or was given up.
        fault: why the engine could not finish a sample of it.
    """

    number: int
    job: Job
    watch: bool
    news: asyncio.Queue[News] = field(default_factory=asyncio.Queue)
    over: bool = False
    fault: str = ""


class Driver:
    """Runs jobs on a thread of its own.

    Args:
        runner: drives the programs; nobody else may use it or its engines meanwhile.
        active: programs under way at once.
        queue: jobs that may wait for their turn.
    """

    def __init__(self, runner: Runner, *, active: int = 64, queue: int = 256) -> None:
        self._runner, self._active, self._room = runner, active, active + queue
        self._inbox: SimpleQueue[tuple[bool, Ticket] | None] = SimpleQueue()  # True: begin, False: give up
        self._numbers = itertools.count()
        self._open: set[Ticket] = set()
        self._outbox: list[tuple[Ticket, News]] = []
        self._waiting: deque[Ticket] = deque()
        self._running: dict[Hashable, Ticket] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="pilothouse driver", daemon=True)

    # --- on the event loop

    def start(self) -> None:
        """Begin; the running event loop is the one that hears the news."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    def close(self) -> None:
        """Give up what is left and end the thread."""
        self._inbox.put(None)
        self._thread.join()

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    @property
    def held(self) -> int:
        """Jobs that are under way or queued."""
        return len(self._open)

    @property
    def running(self) -> int:
        """Programs under way."""
        return len(self._running)

    def submit(self, job: Job, *, watch: bool) -> Ticket:
        """Hand a job in.

        Args:
            job: what to run.
            watch: send pieces of the answer as they become final.

        Raises:
            Full: there is no room for it.
        """
        if len(self._open) >= self._room:
            raise Full
        ticket = Ticket(next(self._numbers), job, watch)
        self._open.add(ticket)
        self._inbox.put((True, ticket))
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Give a job up; one that is over stays as it is."""
        if not ticket.over:
            ticket.over = True
            self._open.discard(ticket)
            self._inbox.put((False, ticket))

    def _deliver(self, batch: list[tuple[Ticket, News]]) -> None:
        for ticket, news in batch:
            if ticket.over:
                continue
            if not isinstance(news, Piece):
                ticket.over = True
                self._open.discard(ticket)
            ticket.news.put_nowait(news)

    # --- on the thread

    def _run(self) -> None:
        going = True
        while going:
            try:
                with self._runner.session() as session:
                    going = self._drive(session)
            except Exception as error:
                LOG.exception("an engine broke down; %d requests are lost", len(self._running))
                self._outbox += [(ticket, error) for ticket in self._running.values()]
                self._running.clear()
            self._send()

    def _drive(self, session: Session) -> bool:
        """Work until told to stop; returns False."""
        while self._take_in(session):
            while self._waiting and len(session) < self._active:
                self._begin(session, self._waiting.popleft())
            if len(session):
                self._tell(session, session.step())
                self._outbox += [(self._running[p.key], p) for p in session.pieces() if p.key in self._running]
            self._send()
        return False

    def _take_in(self, session: Session) -> bool:
        """Take in what arrived; wait for it when there is nothing else to do. Return False when told to stop."""
        idle = not len(session) and not self._waiting
        pause = None if idle else 0.0 if session.works_here else WAIT_S
        while True:
            try:
                message = self._inbox.get(timeout=pause) if pause != 0.0 else self._inbox.get_nowait()
            except Empty:
                return True
            if message is None:
                return False
            begin, ticket = message
            if begin:
                self._waiting.append(ticket)
            elif self._running.pop(ticket.number, None) is not None:
                session.cancel(ticket.number)
                session.faults.pop(ticket.number, None)
            elif ticket in self._waiting:
                self._waiting.remove(ticket)
            pause = 0.0

    def _begin(self, session: Session, ticket: Ticket) -> None:
        self._running[ticket.number] = ticket
        if outcome := session.submit(ticket.number, ticket.job, watch=ticket.watch):
            self._tell(session, [(ticket.number, outcome)])

    def _tell(self, session: Session, ended: list[tuple[Hashable, Outcome]]) -> None:
        for key, outcome in ended:
            ticket = self._running.pop(key)
            ticket.fault = session.faults.pop(key, "")
            if isinstance(outcome, Exception) and not isinstance(outcome, EngineError):
                LOG.error("a program failed", exc_info=outcome)
            self._outbox.append((ticket, outcome))

    def _send(self) -> None:
        batch, self._outbox = self._outbox, []
        if batch and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._deliver, batch)
