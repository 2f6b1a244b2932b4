"""Scorers: what a partial response is worth, for programs that search with a process reward."""

from __future__ import annotations

from typing import ClassVar

from pilothouse.core.parts import Catalogue, Part
from pilothouse.core.problems import Problem
from pilothouse.tasks.base import Task


class Scorer(Part):
    """Judges partial responses. The figure is the scorer's own; a process reward lies in [0, 1].

    Class attributes:
        of_policy: True when the policy's own value head answers instead of ``__call__``.
        needs_answer: True when it reads what only the task knows of a problem, so that it cannot serve users.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("scorer", "pilothouse.tasks")
    of_policy: ClassVar[bool] = False
    needs_answer: ClassVar[bool] = False

    def refusal(self, task: Task) -> str:
        """Return why it cannot judge a task's responses, in a sentence that names what can; empty if it can."""
        return ""

    def __call__(self, task: Task, problem: Problem, response: str) -> float:
        """Return the worth of a partial or whole response to a problem."""
        raise NotImplementedError


def no_step_checker(task: Task, scorer: str) -> str:
    """Return why a scorer that asks the task's step checker cannot judge its responses; empty if it can.

    Args:
        task: whose responses are to be judged.
        scorer: the scorer's name.
    """
    if hasattr(task, "check_steps"):
        return ""
    return (
        f"task '{task.name}' cannot check single steps, so scorer '{scorer}' cannot judge its responses: "
        "give --scorer value-head, --scorer verifier, or your own as --scorer module:Class"
    )


class ExactSteps(Scorer):
    """Asks the task's own step checker: ``right`` while every step is right, ``wrong`` from the first mistake on.

    Args:
        right: the score of a response without a mistake.
        wrong: the score of any other.
    """

    name: ClassVar[str] = "exact-steps"
    needs_answer: ClassVar[bool] = True
    right: float = 0.9
    wrong: float = 0.1

    def refusal(self, task: Task) -> str:
        """Return a sentence if the task cannot check steps."""
        return no_step_checker(task, self.name)

    def __call__(self, task: Task, problem: Problem, response: str) -> float:
        """Return the score of a response whose last step may be cut short."""
        checks: list[bool] = task.check_steps(problem, response)  # pyright: ignore[reportAttributeAccessIssue]
        return self.right if all(checks) else self.wrong


class Verifier(Scorer):
    """Asks the task's verifier, as if the partial response were whole: an upper bound no user has at hand."""

    name: ClassVar[str] = "verifier"
    needs_answer: ClassVar[bool] = True

    def __call__(self, task: Task, problem: Problem, response: str) -> float:
        """Return the reward; NaN if the verifier fails, which the searching program names."""
        return task.score(problem, response).reward


class ValueHead(Scorer):
    """Asks the policy's own value head; the engine answers."""

    name: ClassVar[str] = "value-head"
    of_policy: ClassVar[bool] = True
