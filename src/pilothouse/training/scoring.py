"""Joining a scorer to a runner: ``Value`` requests find their problem and are judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Problem
from pilothouse.core.requests import Codec, Value
from pilothouse.engines.base import Engine
from pilothouse.engines.runner import Runner
from pilothouse.programs.scores import OUTCOME
from pilothouse.tasks.base import Task
from pilothouse.tasks.scorer import Scorer, Verifier

VALUE = "value"  #: the name programs ask scorers by


class Judge:
    """A scorer as the function of a ``Value`` request that a runner calls.

    Args:
        scorer: judges.
        task: whose problems are attempted, of either split.
        codec: tokens to text.
    """

    def __init__(self, scorer: Scorer, task: Task, codec: Codec) -> None:
        self.scorer, self.task, self.codec = scorer, task, codec

    @cached_property
    def problems(self) -> Mapping[str, Problem]:
        """Every problem by id."""
        return {problem.id: problem for split in ("train", "test") for problem in self.task.problems(split)}

    def __call__(self, request: Value) -> float:
        """Return what the scorer says of the response part of the prefix."""
        response = self.codec.decode(request.prefix[request.start :])
        return float(self.scorer(self.task, self.problems[request.problem], response))


def scored_runner(
    engine: Engine, scorer: Scorer, task: Task, *, tools: Mapping[str, Callable[..., str]] | None = None
) -> Runner:
    """Return a runner over one engine whose ``Value`` requests go to ``scorer``, those for outcomes to the verifier.

    Args:
        engine: answers for the policy, and for its value head if the scorer is that.
        scorer: judges partial responses.
        task: whose problems are attempted.
        tools: tools by name.
    """
    outcome = {OUTCOME: Judge(Verifier(), task, engine.codec)}
    if scorer.of_policy:
        return Runner({"policy": engine, VALUE: engine}, scorers=outcome, tools=tools)
    return Runner(engine, scorers={VALUE: Judge(scorer, task, engine.codec), **outcome}, tools=tools)


def check_scorer(needs_scorer: bool, program: str, scorer: Scorer, task: Task) -> None:
    """Refuse a scorer that cannot judge the task's responses, if the program asks one.

    Raises:
        ConfigError: it cannot; the message names what can.
    """
    refusal = scorer.refusal(task) if needs_scorer else ""
    if refusal:
        raise ConfigError(f"program '{program}' asks what partial responses are worth, but {refusal}")
