"""The runner: many programs at once over one or more engines, each engine's batch kept full."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import cast

from pilothouse.core.requests import Value
from pilothouse.core.results import Result
from pilothouse.engines.base import Engine
from pilothouse.engines.desks import Desks
from pilothouse.engines.functions import Functions
from pilothouse.engines.session import Job, Outcome, Session, session_tickets

__all__ = ["Job", "Runner"]


class Runner:
    """Drives thousands of programs at once; whatever any of them waits for is in an engine's batch.

    Requests go by type and name: ``Sample`` and ``Logprob`` to the engine called by their ``policy``, ``Value`` to the
    scorer or engine of that name, ``Call`` to the tool of that name. A program resumes when all replies to its last
    list are there, whatever the others wait for. A ``Sample`` without a seed gets ``seeds / "sample" / k``, k counting
    the program's own requests: what is drawn does not depend on scheduling.

    Failures: a tool that raises is ``Called(message, ok=False)``. A ``Sample`` its engine refuses is answered by n
    continuations with ``StopReason.ERROR`` and the reason as ``detail``. ``Logprob`` and ``Value`` have no such reply:
    their ``EngineError`` is raised inside the program, at the ``yield``, once the rest of the list is answered; the
    program may catch it. Whatever a program does not catch ends the run, with a note that names the program; so does
    an engine that breaks down altogether. In a ``session`` it is that program's outcome alone.

    Args:
        engines: engines by policy name; a single engine serves the name "policy".
        tools: tools by name; each takes the arguments of the ``Call`` and returns text.
        scorers: functions from a ``Value`` request to the worth of its prefix, by name.
        max_active: programs under way at once; 0 starts all jobs at once.
        tool_threads: threads that run tools; 0 runs them one after the other in between, in a repeatable order.
    """

    def __init__(
        self,
        engines: Mapping[str, Engine] | Engine,
        *,
        tools: Mapping[str, Callable[..., str]] | None = None,
        scorers: Mapping[str, Callable[[Value], float]] | None = None,
        max_active: int = 0,
        tool_threads: int = 0,
    ) -> None:
        named = {"policy": engines} if isinstance(engines, Engine) else engines
        self._desks = Desks(named, Functions(tools or {}, scorers or {}, threads=tool_threads))
        self._max_active = max_active or math.inf
        self._tickets = session_tickets()

    def run(self, jobs: Iterable[Job]) -> list[Result]:
        """Run every job and return the results in the order of the jobs, each with its cost."""
        return [result for _, result in sorted(self.stream(jobs), key=lambda pair: pair[0])]

    def session(self) -> Session:
        """Return an empty session, for jobs that arrive while others run; close it before the next one.

        Raises:
            ConfigError: another session or stream of this runner is not finished.
        """
        return Session(self._desks, self._tickets)

    def stream(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Result]]:
        """Yield each job's position and result as soon as it is finished; exhaust or close it before the next one.

        Args:
            jobs: what to run; drawn from only when there is room under ``max_active``.

        Raises:
            ConfigError: a program yields something else than a list of requests, returns no Result, or asks for an
                engine, scorer or tool that does not exist; or another stream of this runner is not finished.
            EngineError: an engine broke down, or refused a ``Logprob`` or ``Value`` and the program did not catch it.
        """
        pending = enumerate(jobs)
        with self.session() as session:
            while True:
                while len(session) < self._max_active and (item := next(pending, None)):
                    if outcome := session.submit(*item):
                        yield item[0], _result(outcome)
                if not len(session):
                    return
                for index, outcome in session.poll():
                    yield cast(int, index), _result(outcome)


def _result(outcome: Outcome) -> Result:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
