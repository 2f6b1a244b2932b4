"""Held-out accuracy with an interval, at a stated cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pilothouse.core.errors import DataError
from pilothouse.core.problems import Problem
from pilothouse.core.results import Cost
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.reports.statistics import Interval, clustered_interval, wilson
from pilothouse.tasks.base import Task
from pilothouse.training.collect import attempt, failures, first_failure, spent


@dataclass(frozen=True)
class Evaluation:
    """What was measured on a set of problems.

    Args:
        accuracy: share of attempts judged right, with a 95 % interval that respects that attempts at one problem are
            not independent.
        correct: [problems, attempts] 1.0 right, 0.0 wrong, NaN where the verifier failed.
        reward: mean reward of the judged attempts.
        length: mean response length in tokens.
        truncated: share of responses that hit the length limit.
        entropy: mean negative log-probability of the sampled tokens, in nats; NaN where the engine cannot tell.
        distinct: mean number of distinct right responses to a problem.
        errors: attempts the verifier could not judge, by status.
        cost: what it took.
    """

    accuracy: Interval
    correct: np.ndarray
    reward: float
    length: float
    truncated: float
    entropy: float
    distinct: float
    errors: dict[str, int]
    cost: Cost

    @property
    def solved(self) -> float:
        """Share of problems that one attempt at least was right on: pass@k for k attempts each."""
        return float((self.correct == 1).any(axis=1).mean())

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, without the raw array."""
        return {
            "accuracy": self.accuracy.estimate,
            "low": self.accuracy.low,
            "high": self.accuracy.high,
            "level": self.accuracy.level,
            "problems": int(self.correct.shape[0]),
            "attempts": int(self.correct.size),
            "reward": self.reward,
            "length": self.length,
            "truncated": self.truncated,
            "entropy": self.entropy,
            "distinct": self.distinct,
            "solved": self.solved,
            "errors": self.errors,
            "cost": self.cost.to_dict(),
        }


def held_out(task: Task, count: int, seeds: SeedTree) -> list[Problem]:
    """Return ``count`` problems of the test split, the same ones for the same seed.

    Raises:
        DataError: the task has no test problem.
    """
    problems = task.problems("test")
    if not problems:
        raise DataError(f"task '{task.name}' has no held-out problems; give it test data or a test fraction")
    if count >= len(problems):
        return list(problems)
    chosen = seeds.numpy().choice(len(problems), size=count, replace=False)
    return [problems[i] for i in sorted(chosen.tolist())]


def evaluate(
    runner: Runner,
    program: Program,
    policy: CausalPolicy,
    task: Task,
    problems: Sequence[Problem],
    seeds: SeedTree,
) -> Evaluation:
    """Attempt every problem with ``program`` and judge every episode.

    Args:
        runner: drives the program over the engine.
        program: how each problem is attempted; ``Group(n=k)`` gives k attempts at each.
        policy: renders prompts.
        task: judges.
        problems: held-out problems.
        seeds: node of this evaluation; the same node gives the same draws, so two policies are compared in pairs.
    """
    started = time.perf_counter()
    attempts = attempt(runner, program, policy, task, problems, seeds)
    episodes = [a.result.episodes for a in attempts]
    flat = [e for group in episodes for e in group]
    width = max(len(group) for group in episodes)
    correct = np.full((len(episodes), width), np.nan)
    right_texts: list[set[str]] = [set() for _ in episodes]
    for row, group in enumerate(episodes):
        for column, episode in enumerate(group):
            score = episode.score
            if score is not None and score.status == "ok":
                right = score.correct if score.correct is not None else score.reward > 0
                correct[row, column] = float(right)
                if right:
                    right_texts[row].add(episode.text)
    rewards = [e.score.reward for e in flat if e.score is not None and e.score.status == "ok"]
    return Evaluation(
        accuracy=_interval(correct, first_failure(flat)),
        correct=correct,
        reward=float(np.mean(rewards)) if rewards else float("nan"),
        length=float(np.mean([len(e.tokens) for e in flat])),
        truncated=float(np.mean([e.truncated for e in flat])),
        entropy=-float(
            np.mean([logprob for e in flat for logprob, own in zip(e.logprobs, e.action_mask, strict=True) if own])
        ),
        distinct=float(np.mean([len(texts) for texts in right_texts])),
        errors=dict(failures(attempts)),
        cost=spent(attempts) + Cost(seconds=time.perf_counter() - started),
    )


def _interval(correct: np.ndarray, reason: str) -> Interval:
    judged = ~np.isnan(correct)
    if not judged.any():
        raise DataError(
            f"the verifier could judge none of the {correct.size} held-out responses ({reason}); mend it first"
        )
    if correct.shape[1] == 1:
        return wilson(int(np.nansum(correct)), int(judged.sum()))
    clusters = [row[~np.isnan(row)] for row in correct if not np.isnan(row).all()]
    return clustered_interval(clusters)
