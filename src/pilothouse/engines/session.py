"""A session: programs under way over a runner's engines; they join, report, are given up and finish one by one."""

from __future__ import annotations

import itertools
import time
from collections.abc import Generator, Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Self, TypeAlias, cast

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Reply, Request, Sample, Sampled, StopReason, Tokens
from pilothouse.core.results import Cost, Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.base import Answer
from pilothouse.engines.desks import Desk, Desks, kind_of
from pilothouse.engines.prefixes import common_length
from pilothouse.programs.base import Program, Settles, Steps

WAIT_S = 0.002  #: pause between looks at engines that are all waiting for other machines

#: What a program came to: its result, or what it raised.
Outcome: TypeAlias = Result | Exception


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


@dataclass(frozen=True)
class Piece:
    """Tokens of an answer that are final though the program still runs.

    Args:
        key: the job.
        index: which of its choices; 0 unless the program draws several.
        tokens: the tokens that follow those of the piece before.
        logprobs: the log-probability of each, where the engine can tell.
    """

    key: Hashable
    index: int
    tokens: Tokens
    logprobs: tuple[float, ...] = ()


@dataclass(eq=False)
class Run:
    """A program under way: the replies it waits for and what it has spent."""

    key: Hashable
    job: Job
    steps: Steps
    started: float
    settles: Settles
    replies: list[Reply | EngineError | None] | None = None  # None until the program has been started
    tickets: dict[int, Desk] = field(default_factory=dict[int, Desk])
    asked: int = 0
    told: Tokens = ()  # what was reported of a program that settles step by step
    cost: Cost = field(default_factory=Cost)

    @property
    def title(self) -> str:
        """The program and its problem, for messages."""
        return f"program '{self.job.program.name or type(self.job.program).__name__}' on problem '{self.job.posed.id}'"


class Session:
    """Programs under way at once; whatever any of them waits for is in an engine's batch.

    What a program raises is its own outcome and touches no other; what an engine raises ends the session.

    Args:
        desks: the engines; one session at a time may use them.
        tickets: numbers that no request in this process had before.

    Attributes:
        faults: by job, why a continuation of its ended with an error; the caller takes out what it has read.

    Raises:
        ConfigError: another session of these desks is not closed.
    """

    def __init__(self, desks: Desks, tickets: Iterator[int]) -> None:
        if desks.busy:
            raise ConfigError("this runner still drives another stream; exhaust or close it, or make another Runner")
        self._desks, self._tickets = desks, tickets
        self._runs: dict[Hashable, Run] = {}
        self._settled: list[Piece] = []
        self.faults: dict[Hashable, str] = {}

    def __len__(self) -> int:
        """Return the number of programs under way."""
        return len(self._runs)

    def submit(self, key: Hashable, job: Job, *, watch: bool = False) -> Outcome | None:
        """Start a program; return its outcome if it asks for nothing, else ``None``.

        Args:
            key: the caller's handle, unlike that of any other program under way.
            job: what to run.
            watch: report what is final of its answer to ``pieces``.
        """
        run = Run(key, job, job.program(job.posed), time.perf_counter(), job.program.settles() if watch else "end")
        if not isinstance(run.steps, Generator):
            return ConfigError(f"{run.title} is not a generator; its __call__ must yield lists of requests")
        self._runs[key] = run
        return self._advance(run)

    def poll(self) -> Iterator[tuple[Hashable, Outcome]]:
        """Let the engines work until there are replies; yield each program that ends with one, in order of reply.

        Raises:
            EngineError: an engine broke down.
        """
        busy = self._desks.busy
        polled = [(desk, desk.poll(alone=len(busy) == 1)) for desk in busy]
        if not any(answers for _, answers in polled):
            time.sleep(WAIT_S)
        yield from self._resume(polled)

    def step(self) -> list[tuple[Hashable, Outcome]]:
        """Let the engines do a small piece of work, without waiting for other machines, and return who ended.

        Raises:
            EngineError: an engine broke down.
        """
        return list(self._resume([(desk, desk.step()) for desk in self._desks.busy]))

    @property
    def works_here(self) -> bool:
        """Whether a step has work to do in this process, rather than to look whether other machines are done."""
        return any(not desk.waits_elsewhere for desk in self._desks.busy)

    def pieces(self) -> list[Piece]:
        """Return what became final of the watched answers since the last call."""
        found, self._settled = self._settled, []
        for desk in self._desks.busy:
            watched = {ticket: run for ticket, (run, _) in desk.waiting.items() if run.settles == "token"}
            if watched:
                found += [
                    Piece(watched[part.ticket].key, part.index, part.tokens, part.logprobs)
                    for part in desk.progress(watched)
                ]
        return found

    def cancel(self, key: Hashable) -> None:
        """Give a program up: its requests leave the engines, and it has no outcome."""
        run = self._runs.pop(key, None)
        if run is None:
            return
        for ticket, desk in run.tickets.items():
            desk.cancel(ticket)
        run.steps.close()

    def close(self) -> None:
        """Give every program up."""
        try:
            for key in list(self._runs):
                self.cancel(key)
        finally:  # an engine that broke down may be unable to cancel
            self._runs.clear()
            for desk in self._desks.all:
                desk.waiting.clear()

    def __enter__(self) -> Self:
        """Return the session."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Close the session."""
        self.close()

    def _resume(self, polled: Sequence[tuple[Desk, Sequence[Answer]]]) -> Iterator[tuple[Hashable, Outcome]]:
        """Hand replies to their programs and resume those that have all."""
        ready: list[Run] = []
        for desk, answers in polled:
            for ticket, reply, cost in answers:
                if ticket not in desk.waiting:
                    continue  # of a program that was given up
                run, place = desk.waiting.pop(ticket)
                del run.tickets[ticket]
                assert run.replies is not None
                run.replies[place] = reply
                self._note(run, reply)
                run.cost += replace(cost, calls=1, seconds=0.0)
                if not run.tickets:
                    ready.append(run)
        for run in ready:
            if run.key in self._runs and (outcome := self._advance(run)) is not None:
                yield run.key, outcome

    def _advance(self, run: Run) -> Outcome | None:
        """Resume a program with its replies until it waits again, or return what it came to."""
        try:
            result = self._drive(run)
        except Exception as error:  # noqa: BLE001 a program's failure is its own outcome and must not touch the others
            self.cancel(run.key)
            return error
        if result is not None:
            del self._runs[run.key]
        return result

    def _drive(self, run: Run) -> Result | None:
        while not run.tickets:
            try:
                refusal = next((reply for reply in run.replies or () if isinstance(reply, EngineError)), None)
                requests = run.steps.throw(refusal) if refusal else run.steps.send(cast(list[Reply], run.replies))
            except StopIteration as stop:
                if not isinstance(stop.value, Result):
                    raise ConfigError(
                        f"{run.title} returned {kind_of(stop.value)}; end it with 'return Result(answer=...)'"
                    ) from None
                return replace(stop.value, cost=replace(run.cost, seconds=time.perf_counter() - run.started))
            except Exception as error:
                error.add_note(f"in {run.title}")
                raise
            self._ask(run, requests)
        return None

    def _ask(self, run: Run, requests: Any) -> None:
        """Hand a program's requests to the desks that answer them."""
        if not isinstance(requests, list):
            raise ConfigError(f"{run.title} yielded {kind_of(requests)}; yield a list of requests")
        run.replies = []
        for request in cast(list[Request], requests):
            desk = self._desks.route(request, lambda: run.title)
            if isinstance(request, Sample) and request.seed is None:
                request = replace(request, seed=(run.job.seeds / "sample" / run.asked).integer())
            run.asked += 1
            ticket = next(self._tickets)
            try:
                desk.engine.submit(ticket, cast(Any, request))
            except EngineError as error:
                run.replies.append(refused := _refused(request, error))
                self._note(run, refused)
            else:
                desk.waiting[ticket] = (run, len(run.replies))
                run.tickets[ticket] = desk
                run.replies.append(None)
        if run.settles == "step":
            self._settle(run, [request.prefix for request in requests if isinstance(request, Sample)])

    def _note(self, run: Run, reply: Reply | EngineError) -> None:
        """Keep why a sample failed: the program's episodes hold no sentences."""
        if isinstance(reply, Sampled):
            details = [one.detail for one in reply.continuations if one.stop_reason is StopReason.ERROR]
            if details:
                self.faults[run.key] = details[0]

    def _settle(self, run: Run, prefixes: Sequence[Tokens]) -> None:
        """Report what all that a program goes on from begins with: it takes none of it back."""
        if not prefixes:
            return
        least, most = min(prefixes), max(prefixes)
        shared = least[len(run.job.posed.prompt) : common_length(least, most)]
        if len(shared) > len(run.told):
            self._settled.append(Piece(run.key, 0, shared[len(run.told) :]))
            run.told = shared


def session_tickets() -> Iterator[int]:
    """Return tickets that never repeat within a process: late replies to what was given up are told apart by them."""
    return itertools.count(time.monotonic_ns())


def _refused(request: Request, error: EngineError) -> Reply | EngineError:
    """Return what a program is told when its engine can never answer a request."""
    if isinstance(request, Sample):
        return Sampled((Continuation((), "", (), StopReason.ERROR, str(error)),) * request.n)
    return error
