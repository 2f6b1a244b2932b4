"""The task protocol: where problems come from and how an outcome is judged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from pilothouse.core.parts import Catalogue, Part
from pilothouse.core.problems import Problem, Score


class Task(Part):
    """Problems by split, and a verifier. A task's fields are its settings.

    Splits are "train" and "test" and never share a problem. ``problems`` is deterministic in the task's settings.

    Args:
        data: path of a file or folder, a hub id, or empty for the task's default source.

    Class attributes:
        response_limit: default response length limit in tokens.
        stop: strings that end a response in this task.
        step_end: what separates two steps of a response.
        character_set: every character that prompts and solutions may use, for tasks the tiny policy can learn;
            empty when the task needs a full tokenizer.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("task", "pilothouse.tasks")
    response_limit: ClassVar[int] = 512
    stop: ClassVar[tuple[str, ...]] = ()
    step_end: ClassVar[str] = "\n"
    character_set: ClassVar[str] = ""

    data: str = ""
    max_tokens: Annotated[int, Field(ge=0)] = 0

    @property
    def limit(self) -> int:
        """Response length limit in tokens: ``max_tokens`` if set, else the task's own."""
        return self.max_tokens or self.response_limit

    def problems(self, split: str) -> Sequence[Problem]:
        """Return the problems of a split.

        Raises:
            DataError: the data cannot be read; the message names file, line and fix.
        """
        raise NotImplementedError

    def score(self, problem: Problem, response: str) -> Score:
        """Return the verdict on one response; a verifier that fails returns ``Score.failed``, it never raises."""
        raise NotImplementedError

    def answer_of(self, response: str) -> str:
        """Return a response's final answer in a form that can be compared, for votes; empty if it has none."""
        return response.strip()

    def score_many(self, pairs: Sequence[tuple[Problem, str]]) -> list[Score]:
        """Return the verdict on each (problem, response); tasks with costly verifiers work in parallel here."""
        return [self.score(problem, response) for problem, response in pairs]

    def source(self) -> str:
        """Return one line that says where the problems came from, for the log and the run's record."""
        return self.data or "generated"

    def self_check(self, limit: int = 200) -> list[str]:
        """Check the task against itself and return what is wrong, a sentence each; an empty list means fit for use.

        The verifier must accept every worked solution it is shown and the splits must not share a prompt.

        Args:
            limit: problems of each split to check.
        """
        faults: list[str] = []
        prompts: dict[str, set[str]] = {}
        for split in ("train", "test"):
            problems = self.problems(split)
            prompts[split] = {str(problem.prompt) for problem in problems}
            for problem in problems[:limit]:
                if problem.solution:
                    score = self.score(problem, problem.solution)
                    if score.correct is False or score.status != "ok":
                        faults.append(f"{split} problem {problem.id}: the verifier refuses its own solution: {score}")
        shared = prompts["train"] & prompts["test"]
        if shared:
            faults.append(f"{len(shared)} prompts occur in train and in test, such as {min(shared)!r}")
        return faults
