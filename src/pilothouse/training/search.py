"""Searching with a policy: a program on held-out problems, its accuracy against what it cost, every trace kept."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pilothouse.core.errors import DataError
from pilothouse.core.problems import Problem
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import Interval, wilson
from pilothouse.tasks.base import Task
from pilothouse.training.collect import Attempt, attempt

WAVE = 64  #: problems attempted before traces are written and progress is shown


@dataclass(frozen=True)
class Searched:
    """What a program reached on held-out problems.

    Args:
        budget: what it was allowed, as the user wrote it; empty for the program's own width.
        accuracy: share of problems whose answer is right, with a 95 % interval.
        correct: one verdict a problem; ``None`` where the verifier failed.
        cost: over all problems; seconds are wall-clock.
        problems: how many.
        errors: problems whose answer the verifier could not judge.
        notes: what went oddly, each sentence with how many problems it concerns.
    """

    budget: str
    accuracy: Interval
    correct: tuple[bool | None, ...]
    cost: Cost
    problems: int
    errors: int
    notes: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON; costs are totals, ``per_problem`` their means."""
        totals = self.cost.to_dict()
        return {
            "budget": self.budget,
            "accuracy": self.accuracy.estimate,
            "low": self.accuracy.low,
            "high": self.accuracy.high,
            "level": self.accuracy.level,
            "problems": self.problems,
            "errors": self.errors,
            "cost": totals,
            "per_problem": {unit: figure / self.problems for unit, figure in totals.items()},
            "notes": self.notes,
        }


class Search:
    """One program on many problems, wave by wave.

    Args:
        runner: drives the program over the engine and the scorer.
        program: the search.
        policy: renders prompts.
        task: judges answers.
        seeds: node of this search; problem i draws from its child i, whatever the waves.
    """

    def __init__(self, runner: Runner, program: Program, policy: CausalPolicy, task: Task, seeds: SeedTree) -> None:
        self.runner, self.program, self.policy, self.task, self.seeds = runner, program, policy, task, seeds
        self.attempts: list[Attempt] = []
        self.seconds = 0.0

    def waves(self, problems: Sequence[Problem], progress: Progress, title: str) -> Iterator[list[Attempt]]:
        """Attempt the problems and yield each wave's attempts as they are judged."""
        for start in range(0, len(problems), WAVE):
            begun = time.perf_counter()
            wave = attempt(
                self.runner,
                self.program,
                self.policy,
                self.task,
                problems[start : start + WAVE],
                self.seeds,
                first=start,
            )
            self.seconds += time.perf_counter() - begun
            self.attempts += wave
            progress.track(len(self.attempts), len(problems), title)
            yield wave

    def searched(self, budget: str) -> Searched:
        """Return what was reached so far.

        Raises:
            DataError: the verifier could judge no answer.
        """
        verdicts = [
            None if a.score.status != "ok" else a.score.correct if a.score.correct is not None else a.score.reward > 0
            for a in self.attempts
        ]
        judged = [verdict for verdict in verdicts if verdict is not None]
        if not judged:
            reason = self.attempts[0].score.detail
            raise DataError(f"the verifier could judge none of the {len(verdicts)} answers ({reason}); mend it first")
        notes: dict[str, int] = {}
        for found in self.attempts:
            for note in found.result.trace.get("notes", ()):
                notes[note] = notes.get(note, 0) + 1
        cost = replace(sum((a.result.cost for a in self.attempts), Cost()), seconds=self.seconds)
        accuracy = wilson(sum(judged), len(judged))
        return Searched(budget, accuracy, tuple(verdicts), cost, len(verdicts), len(verdicts) - len(judged), notes)
