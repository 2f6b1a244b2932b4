"""The runner: many programs at once over one or more engines, each engine's batch kept full."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import (
    Call,
    Continuation,
    Logprob,
    Reply,
    Request,
    Sample,
    Sampled,
    StopReason,
    Value,
)
from pilothouse.core.results import Cost, Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.base import Answer, Engine, RemoteEngine
from pilothouse.engines.functions import Functions
from pilothouse.programs.base import Program, Steps

WAIT_S = 0.002  #: pause between looks at engines that are all waiting for other machines


@dataclass(frozen=True)
class Job:
    """One program to run on one problem.

    Args:
        program: the program.
        posed: the problem as the program sees it.
        seeds: node of the run's seed tree from which the program's samples are seeded.
    """

    program: Program
    posed: Posed
    seeds: SeedTree


@dataclass(eq=False)
class _Run:
    """A program under way: the replies it waits for and what it has spent."""

    index: int
    job: Job
    steps: Steps
    started: float
    replies: list[Reply | EngineError | None] | None = None  # None until the program has been started
    missing: int = 0
    asked: int = 0
    cost: Cost = field(default_factory=Cost)

    @property
    def title(self) -> str:
        return f"program '{self.job.program.name or type(self.job.program).__name__}' on problem '{self.job.posed.id}'"


@dataclass(eq=False)
class _Desk:
    """An engine and what waits for it: by ticket, the program and the reply's place in its list."""

    engine: Engine | Functions
    waiting: dict[int, tuple[_Run, int]] = field(default_factory=dict[int, tuple[_Run, int]])

    def __post_init__(self) -> None:
        self.waits_elsewhere = isinstance(self.engine, RemoteEngine | Functions)

    def poll(self, *, alone: bool) -> Sequence[Answer]:
        """Return new answers; wait for one if this desk is the only busy one or if its engine does the work itself."""
        answers = self.engine.finished() if self.waits_elsewhere and not alone else self.engine.poll()  # pyright: ignore[reportAttributeAccessIssue]
        if not answers and (alone or not self.waits_elsewhere):
            raise EngineError(
                f"{type(self.engine).__name__} answered nothing though {len(self.waiting)} requests wait for it; "
                "its poll must not return an empty list before they are answered"
            )
        return answers


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
    an engine that breaks down altogether.

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
        self._functions = Functions(tools or {}, scorers or {}, threads=tool_threads)
        self._function_desk = _Desk(self._functions)
        # One desk an engine, also for an engine with two names: its replies come out of one poll.
        desks = {id(engine): _Desk(engine) for engine in named.values()}
        self._engine_desks = {name: desks[id(engine)] for name, engine in named.items()}
        self._desks = [*desks.values(), self._function_desk]
        self._max_active = max_active or math.inf
        # Tickets never repeat within a process: late replies to a run that was given up are told apart by them.
        self._tickets = itertools.count(time.monotonic_ns())

    def run(self, jobs: Iterable[Job]) -> list[Result]:
        """Run every job and return the results in the order of the jobs, each with its cost."""
        return [result for _, result in sorted(self.stream(jobs), key=lambda pair: pair[0])]

    def stream(self, jobs: Iterable[Job]) -> Iterator[tuple[int, Result]]:
        """Yield each job's position and result as soon as it is finished; exhaust or close it before the next one.

        Args:
            jobs: what to run; drawn from only when there is room under ``max_active``.

        Raises:
            ConfigError: a program yields something else than a list of requests, returns no Result, or asks for an
                engine, scorer or tool that does not exist; or another stream of this runner is not finished.
            EngineError: an engine broke down, or refused a ``Logprob`` or ``Value`` and the program did not catch it.
        """
        if any(desk.waiting for desk in self._desks):
            raise ConfigError("this runner still drives another stream; exhaust or close it, or make another Runner")
        pending = enumerate(jobs)
        active: set[_Run] = set()
        try:
            while True:
                while len(active) < self._max_active and (job := next(pending, None)):
                    active.add(run := self._start(*job))
                    if result := self._advance(run):
                        active.discard(run)
                        yield run.index, result
                if not active:
                    return
                for run in self._collect():
                    if result := self._advance(run):
                        active.discard(run)
                        yield run.index, result
        finally:
            for run in active:
                run.steps.close()
            for desk in self._desks:
                desk.waiting.clear()

    def _start(self, index: int, job: Job) -> _Run:
        run = _Run(index, job, job.program(job.posed), time.perf_counter())
        if not isinstance(run.steps, Generator):
            raise ConfigError(f"{run.title} is not a generator; its __call__ must yield lists of requests")
        return run

    def _advance(self, run: _Run) -> Result | None:
        """Resume a program with its replies until it waits again, or return its result."""
        while not run.missing:
            try:
                refusal = next((reply for reply in run.replies or () if isinstance(reply, EngineError)), None)
                requests = run.steps.throw(refusal) if refusal else run.steps.send(cast(list[Reply], run.replies))
            except StopIteration as stop:
                result = stop.value
                break
            except Exception as error:
                error.add_note(f"in {run.title}")
                raise
            self._ask(run, requests)
        else:
            return None
        if not isinstance(result, Result):
            raise ConfigError(f"{run.title} returned {_kind(result)}; end it with 'return Result(answer=...)'")
        return replace(result, cost=replace(run.cost, seconds=time.perf_counter() - run.started))

    def _ask(self, run: _Run, requests: Any) -> None:
        """Hand a program's requests to the desks that answer them."""
        if not isinstance(requests, list):
            raise ConfigError(f"{run.title} yielded {_kind(requests)}; yield a list of requests")
        replies: list[Reply | EngineError | None] = []
        for request in cast(list[Request], requests):
            desk = self._route(run, request)
            if isinstance(request, Sample) and request.seed is None:
                request = replace(request, seed=(run.job.seeds / "sample" / run.asked).integer())
            run.asked += 1
            ticket = next(self._tickets)
            try:
                desk.engine.submit(ticket, cast(Any, request))
            except EngineError as error:
                replies.append(_refused(request, error))
            else:
                desk.waiting[ticket] = (run, len(replies))
                run.missing += 1
                replies.append(None)
        run.replies = replies

    def _route(self, run: _Run, request: Request) -> _Desk:
        """Return the desk that answers a request."""
        match request:
            case Sample(policy=name) | Logprob(policy=name):
                kind, known = "engine", self._engine_desks
            case Value(policy=name):
                kind = "scorer or engine"
                known = {**self._engine_desks, **dict.fromkeys(self._functions.scorers, self._function_desk)}
            case Call(tool=name):
                kind, known = "tool", dict.fromkeys(self._functions.tools, self._function_desk)
            case _:
                raise ConfigError(f"{run.title} yielded a list with {_kind(request)}; yield a list of requests")
        if name not in known:
            names = ", ".join(f"'{known_name}'" for known_name in sorted(known)) or "none"
            raise ConfigError(f"{run.title} asks for {kind} '{name}'; the runner was given {names}")
        return known[name]

    def _collect(self) -> list[_Run]:
        """Let the engines work until there are replies; return the programs that can resume, in order of reply."""
        busy = [desk for desk in self._desks if desk.waiting]
        polled = [(desk, desk.poll(alone=len(busy) == 1)) for desk in busy]
        if not any(answers for _, answers in polled):
            time.sleep(WAIT_S)
        ready: list[_Run] = []
        for desk, answers in polled:
            for ticket, reply, cost in answers:
                if ticket not in desk.waiting:
                    continue
                run, place = desk.waiting.pop(ticket)
                assert run.replies is not None
                run.replies[place] = reply
                run.cost += replace(cost, calls=1, seconds=0.0)
                run.missing -= 1
                if not run.missing:
                    ready.append(run)
        return ready


def _refused(request: Request, error: EngineError) -> Reply | EngineError:
    """Return what a program is told when its engine can never answer a request."""
    if isinstance(request, Sample):
        return Sampled((Continuation((), "", (), StopReason.ERROR, str(error)),) * request.n)
    return error


def _kind(item: object) -> str:
    return "nothing" if item is None else f"a {type(item).__name__}"
