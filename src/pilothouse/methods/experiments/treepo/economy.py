"""What a tree costs and what it finds, beside independent samples of the same policy: tokens, variety, information."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.programs.choose import vote
from pilothouse.programs.group import Group
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.treepo import TreePO
from pilothouse.tasks.base import Task
from pilothouse.training.collect import Attempt, attempt

WIDTH = 16
TREE = TreePO(width=WIDTH, stepping=Stepping(tokens=8, max_steps=8))
#: What is compared; the first is what all others are measured against.
VARIANTS: dict[str, Program] = {
    "independent": Group(n=WIDTH),
    "tree": TREE,
    "tree, 2 to 8 first branches": TREE.model_copy(update={"init_branch": (2, 8)}),
    "tree, 8 first branches": TREE.model_copy(update={"init_branch": (8, 8)}),
    "tree, no transfer": TREE.model_copy(update={"transfer": False}),
    "tree, segments of 4": TREE.model_copy(update={"stepping": Stepping(tokens=4, max_steps=16)}),
}


@dataclass(frozen=True)
class Sampled:
    """What one way of sampling gave; means are over prompts and repetitions.

    Args:
        responses: mean responses a prompt.
        computed: tokens the model processed, a response.
        decoded: tokens sampled, a response.
        length: mean response length in tokens.
        distinct: mean number of distinct responses of a prompt that ended by themselves.
        answers: mean number of distinct final answers of those.
        accuracy: share of right responses.
        voted: share of prompts whose majority answer is right.
        effective: independent samples that would tell a prompt's accuracy as well as the responses do.
        fallbacks: mean number of responses a prompt that were grown from a cut.
    """

    responses: float
    computed: float
    decoded: float
    length: float
    distinct: float
    answers: float
    accuracy: float
    voted: float
    effective: float
    fallbacks: float


def compare(
    policy: CausalPolicy,
    task: Task,
    problems: Sequence[Problem],
    repeats: int,
    seeds: SeedTree,
    variants: Mapping[str, Program] = VARIANTS,
) -> dict[str, dict[str, float]]:
    """Return every variant's figures, and what its variety would have cost with independent samples.

    Args:
        policy: samples.
        task: judges.
        problems: what is attempted.
        repeats: times each problem is attempted by each variant; at least 2.
        seeds: node that seeds all of it.
        variants: programs by name; the first samples independently.
    """
    looked = {name: _look(policy, task, problems, program, repeats, seeds) for name, program in variants.items()}
    first = next(iter(looked.values()))
    tables: dict[str, dict[str, float]] = {}
    for name, look in looked.items():
        found = look.figures()
        tables[name] = {**asdict(found), "computed_ratio": found.computed / first.figures().computed}
        for what, seen in (("distinct", first.responses), ("answers", first.answers)):
            draws = draws_for(getattr(found, what), _counts(seen))
            tables[name][f"independent_for_{what}"] = draws
            cost = found.computed * found.responses / (draws * first.figures().computed) if draws else math.nan
            tables[name][f"cost_at_equal_{what}"] = cost
    return tables


def draws_for(distinct: float, counts: Sequence[Sequence[int]]) -> float:
    """Return how many independent samples of a prompt find ``distinct`` different things on average.

    The mean number found by fewer samples than were drawn is known exactly (rarefaction, Hurlbert 1971).

    Args:
        distinct: how many things are to be found.
        counts: for each prompt, how often each thing was seen in all of its samples.
    """
    most = min(sum(seen) for seen in counts)
    curve = [
        math.fsum(1 - math.comb(sum(seen) - n, k) / math.comb(sum(seen), k) for seen in counts for n in seen)
        / len(counts)
        for k in range(most + 1)
    ]
    return float(np.interp(distinct, curve, range(most + 1)))


@dataclass(frozen=True)
class _Look:
    """Everything one variant did: lists by repetition, then by prompt, then by response."""

    attempts: list[list[Attempt]]
    task: Task

    @cached_property
    def responses(self) -> list[list[list[str]]]:
        """The texts of the responses that ended by themselves."""
        return [[[e.text for e in a.result.episodes if not e.truncated] for a in run] for run in self.attempts]

    @cached_property
    def answers(self) -> list[list[list[str]]]:
        """Their final answers."""
        return [[[self.task.answer_of(text) for text in texts] for texts in run] for run in self.responses]

    def figures(self) -> Sampled:
        flat = [a for run in self.attempts for a in run]
        episodes = [e for a in flat for e in a.result.episodes]
        rates = np.array([[_right(a) for a in run] for run in self.attempts])
        spread, repeats = rates.var(axis=0, ddof=1), len(rates)
        # The mean rate m is off by chance too: E[m (1 - m)] is p (1 - p) less the variance of m.
        single = rates.mean(axis=0) * (1 - rates.mean(axis=0)) + spread / repeats
        return Sampled(
            responses=len(episodes) / len(flat),
            computed=sum(a.result.cost.tokens_computed for a in flat) / len(episodes),
            decoded=sum(a.result.cost.tokens_sampled for a in flat) / len(episodes),
            length=_mean(len(e.tokens) for e in episodes),
            distinct=_mean(len(set(texts)) for run in self.responses for texts in run),
            answers=_mean(len(set(answers)) for run in self.answers for answers in run),
            accuracy=_mean(float(bool(e.score and e.score.correct)) for e in episodes),
            voted=_mean(
                float(bool(answers) and answers[vote(answers)] == a.problem.answer)
                for run, said in zip(self.attempts, self.answers, strict=True)
                for a, answers in zip(run, said, strict=True)
            ),
            effective=float(single.sum() / max(float(spread.sum()), 1e-12)),
            fallbacks=_mean(a.result.trace.get("accounting", {}).get("fallbacks", 0) for a in flat),
        )


def _look(
    policy: CausalPolicy, task: Task, problems: Sequence[Problem], program: Program, repeats: int, seeds: SeedTree
) -> _Look:
    """Attempt every problem again and again; nothing that was computed is reused between repetitions."""
    engine, done = LocalEngine(policy), list[list[Attempt]]()
    for repeat in range(repeats):
        engine.policy_changed()
        done.append(attempt(Runner(engine), program, policy, task, problems, seeds / repeat))
    return _Look(done, task)


def _counts(seen: list[list[list[str]]]) -> list[list[int]]:
    """For each prompt, how often each thing was seen in all repetitions."""
    return [list(Counter(chain.from_iterable(of_prompt)).values()) for of_prompt in zip(*seen, strict=True)]


def _right(attempted: Attempt) -> float:
    return _mean(float(bool(e.score and e.score.correct)) for e in attempted.result.episodes)


def _mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))
