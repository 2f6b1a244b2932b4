"""What a trained pair of policy and value reaches on held-out chains, and at what cost."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

from pilothouse.core.problems import Problem
from pilothouse.core.requests import Value
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.best_of_n import BestOfN
from pilothouse.programs.group import Group
from pilothouse.programs.mcts import MCTS
from pilothouse.programs.sbs import StepBeam
from pilothouse.reports.progress import Progress
from pilothouse.reports.statistics import auc
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.tasks.scorer import ExactSteps, ValueHead
from pilothouse.training.collect import attempt
from pilothouse.training.evaluate import evaluate
from pilothouse.training.scoring import scored_runner
from pilothouse.training.search import Search

Figures = dict[str, float]

SAMPLED = Sampling(temperature=0.8)
ATTEMPTS = 5  #: samples at each problem behind the accuracy of sampled answers
VOTES = 5  #: of the majority vote that the search is held against


class Bench:
    """Measures one policy; every measurement begins with an empty prefix cache, so that costs compare.

    Args:
        policy: with its value head.
        task: whose held-out chains are attempted.
        seeds: node of the measurement; the same node gives the same draws to any policy.
        progress: shows what happens.
    """

    def __init__(self, policy: CausalPolicy, task: ChainArithmetic, seeds: SeedTree, progress: Progress) -> None:
        self.policy, self.task, self.seeds, self.progress = policy, task, seeds, progress
        self.engine = LocalEngine(policy)
        self.runner = scored_runner(self.engine, ValueHead(), task)
        self.problems: Sequence[Problem] = task.problems("test")

    def sampled(self, temperature: float = SAMPLED.temperature) -> Figures:
        """Return the accuracy of sampled answers; at temperature 0 of the greedy one."""
        self.engine.policy_changed()
        how = SAMPLED.model_copy(update={"temperature": temperature})
        program = Group(n=ATTEMPTS if temperature else 1, sampling=how)
        found = evaluate(self.runner, program, self.policy, self.task, self.problems, self.seeds / "sampled")
        computed = found.cost.tokens_computed / found.correct.size
        return {"accuracy": found.accuracy.estimate, "tokens": computed, "sampled_tokens": found.length}

    def searched(self, program: Program, runner: Runner | None = None) -> Figures:
        """Return a search's accuracy and what it costs a problem, in tokens computed and sampled."""
        self.engine.policy_changed()
        search = Search(runner or self.runner, program, self.policy, self.task, self.seeds / "searched")
        for _ in search.waves(self.problems, self.progress, program.name):
            pass
        found = search.searched("")
        return {
            "accuracy": found.accuracy.estimate,
            "tokens": found.cost.tokens_computed / found.problems,
            "sampled_tokens": found.cost.tokens_sampled / found.problems,
        }

    def with_noise(self, program: Program) -> Figures:
        """Return a search whose values are noise: a hash of the state, uniform in (-1, 1)."""
        return self.searched(program, Runner(self.engine, scorers={"value": _noise}))

    def step_auc(self) -> float:
        """Return how well values tell prefixes without a mistake from those with one: the area under the ROC curve."""
        self.engine.policy_changed()
        program = Group(n=ATTEMPTS, sampling=SAMPLED)
        drawn = attempt(self.runner, program, self.policy, self.task, self.problems, self.seeds / "steps")
        states: dict[tuple[int, ...], bool] = {}
        ends = set(self.policy.codec.encode("\n."))
        for found in drawn:
            for episode in found.result.episodes:
                for at in (i + 1 for i, token in enumerate(episode.tokens) if token in ends):
                    text = self.policy.codec.decode(episode.tokens[:at])
                    states[episode.prompt + episode.tokens[:at]] = all(self.task.check_steps(found.problem, text))
        values = self.policy.value_of_prefixes(list(states))
        right = [value for value, sound in zip(values, states.values(), strict=True) if sound]
        wrong = [value for value, sound in zip(values, states.values(), strict=True) if not sound]
        return auc(right, wrong) if right and wrong else math.nan


def measure(bench: Bench, *, search: bool) -> dict[str, Figures]:
    """Return the figures of one policy, by what was measured.

    Args:
        bench: holds the policy.
        search: whether to search too, or only to sample.
    """
    found = {"sampled": bench.sampled(), "greedy": bench.sampled(0.0)}
    if not search:
        return found
    beam = StepBeam(beams=3, children=5)
    found["SBS(3,5)"] = bench.searched(beam)
    found["SBS(1,5)"] = bench.searched(StepBeam(beams=1, children=5))
    found["SBS(3,5), noise"] = bench.with_noise(beam)
    exact = scored_runner(bench.engine, ExactSteps(right=1.0, wrong=-1.0), bench.task)
    found["SBS(3,5), true value"] = bench.searched(beam, exact)
    found["MCTS"] = bench.searched(MCTS(duplicates="remove", sampling=Sampling(temperature=0.6)))
    found[f"maj@{VOTES}"] = bench.searched(_vote(VOTES))
    for name in ("SBS(1,5)", "SBS(3,5)"):  # the vote may compute at least as many tokens as the search
        votes = math.ceil(found[name]["tokens"] / found["sampled"]["tokens"])
        found[f"maj at the tokens of {name}"] = {"votes": votes, **bench.searched(_vote(votes))}
    found["value"] = {"auc": bench.step_auc()}
    return found


def _vote(votes: int) -> BestOfN:
    return BestOfN(n=votes, select="majority", sampling=SAMPLED)


def _noise(request: Value) -> float:
    digest = hashlib.blake2b(repr(request.prefix).encode(), digest_size=7).digest()
    return 2 * int.from_bytes(digest, "big") / 2**56 - 1
