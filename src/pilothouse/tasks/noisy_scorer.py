"""A process reward of known quality: the task's exact step checker behind noise, and two ways to mislead a search."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.base import Task
from pilothouse.tasks.scorer import Scorer, no_step_checker


class NoisySteps(Scorer):
    """The chance that a response has no mistake so far, as an imperfect reward model would put it.

    Its logit is ``+strength t / T`` while all of the t steps are right and ``-strength t / T`` from the first mistake
    on, plus normal noise: it says little early and more towards the end (T steps). Noise depends on seed, problem and
    text alone, so the same partial response always gets the same score.

    Args:
        strength: mean logit of a whole right response.
        noise: standard deviation of the noise on the logit.
        temperature: divides the logit; below 1 is overconfident.
        unreliable_steps: steps in which the sign of the signal is reversed for some openings.
        unreliable_share: share of openings, by their first step, to which that happens.
        unreliable_of: which openings can be so misjudged.
        attractor_share: share of first mistakes from which on a response is scored as if it were right.
        seed: root of all noise.
    """

    name: ClassVar[str] = "noisy-steps"
    strength: float = 2.0
    noise: Annotated[float, Field(ge=0)] = 1.0
    temperature: Annotated[float, Field(gt=0)] = 1.0
    unreliable_steps: Annotated[int, Field(ge=0)] = 0
    unreliable_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    unreliable_of: Literal["any", "right", "wrong"] = "any"
    attractor_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    seed: int = 0

    def refusal(self, task: Task) -> str:
        """Return a sentence if the task cannot check steps."""
        return no_step_checker(task, self.name)

    def __call__(self, task: Task, problem: Problem, response: str) -> float:
        """Return the score, in (0, 1), of a response whose last step may be cut short."""
        checks: list[bool] = task.check_steps(problem, response)  # pyright: ignore[reportAttributeAccessIssue]
        seeds = SeedTree(self.seed) / self.name / problem.id
        whole = max(1, problem.solution.count(task.step_end) + 1)
        pieces = response.split(task.step_end)
        share = min(len(checks), whole) / whole
        sign = 1.0 if all(checks) or self._attracts(seeds, task, pieces, checks) else -1.0
        if 0 < len(checks) <= self.unreliable_steps and self._misjudged(seeds, pieces[0], checks[0]):
            sign = -sign
        rng = (seeds / "noise" / response).numpy()
        logit = sign * self.strength * share + self.noise * float(rng.standard_normal())
        return 1.0 / (1.0 + math.exp(-logit / self.temperature))

    def _attracts(self, seeds: SeedTree, task: Task, pieces: list[str], checks: list[bool]) -> bool:
        """Return whether the response is past a first mistake that looks right."""
        if not self.attractor_share:
            return False
        upto = task.step_end.join(pieces[: checks.index(False) + 1])
        return (seeds / "attractor" / upto).numpy().random() < self.attractor_share

    def _misjudged(self, seeds: SeedTree, opening: str, right: bool) -> bool:
        """Return whether the opening belongs to those whose early scores are reversed."""
        if self.unreliable_of != "any" and right != (self.unreliable_of == "right"):
            return False
        return (seeds / "opening" / opening).numpy().random() < self.unreliable_share
