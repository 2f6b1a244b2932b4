"""Desks: each engine of a runner and what waits for it, and which desk answers which request."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pilothouse.core.errors import ConfigError, EngineError
from pilothouse.core.requests import Call, Logprob, Request, Sample, Value
from pilothouse.engines.base import Answer, CancellingEngine, Engine, Partial, RemoteEngine, SteppedEngine
from pilothouse.engines.functions import Functions


@dataclass(eq=False)
class Desk:
    """An engine and what waits for it.

    Args:
        engine: answers.
        waiting: by ticket, the program that waits and the reply's place in its list.
    """

    engine: Engine | Functions
    waiting: dict[int, tuple[Any, int]] = field(default_factory=dict[int, tuple[Any, int]])

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

    def step(self) -> Sequence[Answer]:
        """Return new answers after a small piece of work, where the engine works in pieces; perhaps none."""
        if isinstance(self.engine, SteppedEngine):
            return self.engine.step()
        return self.poll(alone=False)

    def progress(self, watched: Mapping[int, Any]) -> Sequence[Partial]:
        """Return what was drawn of the watched tickets since the last call, where the engine can tell."""
        return self.engine.progress(watched) if isinstance(self.engine, SteppedEngine) else ()

    def cancel(self, ticket: int) -> None:
        """Forget a ticket; its engine drops the work where it can, else its answer will be thrown away."""
        if self.waiting.pop(ticket, None) is not None and isinstance(self.engine, CancellingEngine):
            self.engine.cancel(ticket)


class Desks:
    """Every desk of a runner; one desk an engine, also for an engine with two names.

    Args:
        engines: engines by policy name.
        functions: tools and scorers.
    """

    def __init__(self, engines: Mapping[str, Engine], functions: Functions) -> None:
        self._functions = functions
        self._function_desk = Desk(functions)
        desks = {id(engine): Desk(engine) for engine in engines.values()}
        self._by_policy = {name: desks[id(engine)] for name, engine in engines.items()}
        self.all = [*desks.values(), self._function_desk]

    @property
    def busy(self) -> list[Desk]:
        """The desks that something waits for."""
        return [desk for desk in self.all if desk.waiting]

    def route(self, request: Request, who: Callable[[], str]) -> Desk:
        """Return the desk that answers a request.

        Args:
            request: what a program asks for.
            who: names the program, for messages.

        Raises:
            ConfigError: nobody answers it, or it is no request.
        """
        match request:
            case Sample(policy=name) | Logprob(policy=name):
                kind, known = "engine", self._by_policy
            case Value(policy=name):
                kind = "scorer or engine"
                known = {**self._by_policy, **dict.fromkeys(self._functions.scorers, self._function_desk)}
            case Call(tool=name):
                kind, known = "tool", dict.fromkeys(self._functions.tools, self._function_desk)
            case _:
                raise ConfigError(f"{who()} yielded a list with {kind_of(request)}; yield a list of requests")
        if name not in known:
            names = ", ".join(f"'{known_name}'" for known_name in sorted(known)) or "none"
            raise ConfigError(f"{who()} asks for {kind} '{name}'; the runner was given {names}")
        return known[name]


def kind_of(item: object) -> str:
    """Return what a thing is, with its article, for messages."""
    return "nothing" if item is None else f"a {type(item).__name__}"
