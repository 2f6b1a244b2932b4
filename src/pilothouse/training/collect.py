"""From problems to scored rollouts: run the program on each, then let the task judge every episode."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Posed, Problem, Score
from pilothouse.core.results import Cost, Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.runner import Job, Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.tasks.base import Task
from pilothouse.training.clock import Clock


@dataclass(frozen=True)
class Attempt:
    """What one program left on one problem, judged.

    Args:
        problem: the problem.
        result: the program's result; its episodes carry their scores.
        score: the verdict on the program's answer.
    """

    problem: Problem
    result: Result
    score: Score


def pose(problem: Problem, policy: CausalPolicy, task: Task, seeds: SeedTree) -> Posed:
    """Return the problem as a program may see it: encoded and seeded, without its answer."""
    prompt = policy.render(problem)
    text = problem.prompt if isinstance(problem.prompt, str) else policy.codec.decode(prompt)
    rng = (seeds / "program").numpy()
    return Posed(problem.id, prompt, text, rng, policy.codec, answer_of=task.answer_of)


def attempt(
    runner: Runner,
    program: Program,
    policy: CausalPolicy,
    task: Task,
    problems: Sequence[Problem],
    seeds: SeedTree,
    clock: Clock | None = None,
    *,
    first: int = 0,
) -> list[Attempt]:
    """Run ``program`` on every problem and score every episode and answer.

    Args:
        runner: drives the programs over the engines.
        program: how each problem is attempted.
        policy: renders prompts.
        task: judges.
        problems: what to attempt; a problem may occur twice and then forms two groups.
        seeds: node whose child i seeds the i-th problem, so a draw does not depend on the others.
        clock: counts the seconds of the phases "sample" and "verify".
        first: position of the first problem among the seeds, when the problems are part of a longer list.
    """
    ready = program.fitted(limit=task.limit, stop=task.stop, step_end=task.step_end)
    jobs = [Job(ready, pose(p, policy, task, seeds / i), seeds / i) for i, p in enumerate(problems, first)]
    clock = clock or Clock()
    with clock("sample"):
        results = runner.run(jobs)
    judged = [(p, e.text) for p, r in zip(problems, results, strict=True) for e in r.episodes]
    # An answer that is one of the program's own responses has that response's verdict; only others are judged.
    others = [
        (p, r.answer) for p, r in zip(problems, results, strict=True) if r.answer not in {e.text for e in r.episodes}
    ]
    with clock("verify"):
        verdicts = iter(task.score_many(judged + others))
    scored = [tuple(e.scored(next(verdicts)) for e in r.episodes) for r in results]
    attempts: list[Attempt] = []
    for problem, result, episodes in zip(problems, results, scored, strict=True):
        own = next((e.score for e in episodes if e.text == result.answer and e.score is not None), None)
        attempts.append(Attempt(problem, replace(result, episodes=episodes), own or next(verdicts)))
    return attempts


def flatten(attempts: Sequence[Attempt]) -> tuple[list[Episode], list[int]]:
    """Return every episode and the index of the attempt it belongs to, which is its group."""
    pairs = [(e, i) for i, a in enumerate(attempts) for e in a.result.episodes]
    return [e for e, _ in pairs], [i for _, i in pairs]


def spent(attempts: Sequence[Attempt]) -> Cost:
    """Return the summed cost of the attempts; seconds are dropped, attempts run side by side."""
    return replace(sum((a.result.cost for a in attempts), Cost()), seconds=0.0)


def failures(attempts: Sequence[Attempt]) -> Counter[str]:
    """Return how many episodes the verifier could not judge, by status."""
    return Counter(
        str(e.score.status)
        for a in attempts
        for e in a.result.episodes
        if e.score is not None and e.score.status != "ok"
    )


def first_failure(episodes: Iterable[Episode]) -> str:
    """Return why the verifier could not judge the first response that it could not judge; empty if it judged all."""
    scores = (e.score for e in episodes if e.score is not None and e.score.status != "ok")
    return next((score.detail or str(score.status) for score in scores), "")
