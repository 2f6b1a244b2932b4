"""Measuring every arm on every seed: accuracy, tokens and diversity, each finished piece kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.methods.experiments.measured import mean
from pilothouse.methods.experiments.particle_scaling.design import DRAWN, HOW, TASK, Design
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Program
from pilothouse.programs.choose import best, vote
from pilothouse.programs.group import Group
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.tasks.noisy_scorer import NoisySteps
from pilothouse.training.collect import Attempt, attempt
from pilothouse.training.evaluate import held_out
from pilothouse.training.scoring import scored_runner

#: By arm: accuracy, tokens sampled and computed a problem, and first steps alive at the end, each a list over seeds.
Figures = dict[str, dict[str, list[float]]]


def measure(design: Design, folder: Path, progress: Progress) -> Figures:
    """Return every arm's figures; finished pieces are read back from ``folder``.

    Args:
        design: what is compared.
        folder: keeps a file for each arm and seed.
        progress: shows what happens.
    """
    found: Figures = {}
    for seed in range(design.seeds):
        bench = Bench(design, seed)
        facts = {"task": TASK.model_dump(mode="json"), "warm": design.warm.model_dump(), "seed": seed}
        facts |= {"size": design.size, "problems": design.problems}
        progress.say(f"seed {seed + 1} of {design.seeds}: {DRAWN}")
        most = {**facts, "budgets": design.budgets}
        for arm, figures in kept(folder / f"seed-{seed}-{DRAWN}.json", most, bench.drawn).items():
            _add(found, arm, figures)
        for arm, (program, scorer) in design.arms().items():
            progress.say(f"seed {seed + 1} of {design.seeds}: {arm}")
            mine = {**facts, "program": program.model_dump(mode="json"), "scorer": scorer.model_dump(mode="json")}
            path = folder / f"seed-{seed}-{arm.replace(' ', '-')}.json"
            _add(found, arm, kept(path, mine, lambda b=bench, p=program, s=scorer: b.searched(p, s)))
    return found


def _add(found: Figures, arm: str, figures: Mapping[str, float]) -> None:
    for name, figure in figures.items():
        found.setdefault(arm, {}).setdefault(name, []).append(figure)


class Bench:
    """One seed's policy, problems and noise, prepared when first needed.

    Args:
        design: what is compared.
        seed: of everything.
    """

    def __init__(self, design: Design, seed: int) -> None:
        self.design, self.seed = design, seed
        self.seeds = SeedTree(seed) / "particle-scaling"
        self._policy: CausalPolicy | None = None

    @property
    def policy(self) -> CausalPolicy:
        """The seed's policy."""
        if self._policy is None:
            self._policy = self.design.policy(self.seed)
        return self._policy

    @property
    def problems(self) -> list[Problem]:
        """The seed's held-out problems."""
        return held_out(TASK, self.design.problems, self.seeds / "problems")

    def attempts(self, program: Program, scorer: NoisySteps) -> list[Attempt]:
        """Return every problem as the program attempts it."""
        mine = scorer.model_copy(update={"seed": self.seed})
        runner = scored_runner(LocalEngine(self.policy, max_rows=512), mine, TASK)
        return attempt(runner, program, self.policy, TASK, self.problems, self.seeds / "draws")

    def searched(self, program: Program, scorer: NoisySteps) -> dict[str, float]:
        """Return one search's figures."""
        found = self.attempts(program, scorer)
        figures = {"accuracy": mean([float(bool(a.score.correct)) for a in found])}
        figures |= {unit: mean([a.result.cost.to_dict()[unit] for a in found]) for unit in UNITS}
        figures["openings"] = mean([float(openings(a.result.trace)) for a in found])
        return figures

    def drawn(self) -> dict[str, dict[str, float]]:
        """Return the figures of best-of-N, by score, by weight and by majority, at every budget.

        The same draws serve all of them: the first N of them are what best-of-N draws under this seed.
        """
        scorer = NoisySteps(seed=self.seed)
        found = self.attempts(Group(n=self.design.budgets[-1], sampling=HOW), scorer)
        scores = [[scorer(TASK, a.problem, e.text) for e in a.result.episodes] for a in found]
        checks = [TASK.check_steps(a.problem, e.text) for a in found for e in a.result.episodes]
        table = {"policy": {"right steps": mean([float(right) for steps in checks for right in steps])}}
        for n in self.design.budgets:
            tokens = mean([float(sum(len(e.tokens) for e in a.result.episodes[:n])) for a in found])
            for name, choose in CHOICES.items():
                right = [_right(a, choose, scores[at][:n], n) for at, a in enumerate(found)]
                table[f"{name}@{n}"] = {"accuracy": mean(right), "tokens_sampled": tokens}
        return table


UNITS = ("tokens_sampled", "tokens_computed", "tokens_reused", "calls")


def _by_score(answers: Sequence[str], scores: Sequence[float]) -> int:
    return best(scores)


def _by_weight(answers: Sequence[str], scores: Sequence[float]) -> int:
    return vote(answers, scores)


def _by_majority(answers: Sequence[str], scores: Sequence[float]) -> int:
    return vote(answers)


CHOICES = {"best-of-n": _by_score, "weighted": _by_weight, "majority": _by_majority}


def _right(found: Attempt, choose: Any, scores: Sequence[float], n: int) -> float:
    episodes = found.result.episodes[:n]
    chosen = episodes[choose([TASK.answer_of(e.text) for e in episodes], scores)]
    return float(chosen.score is not None and bool(chosen.score.correct))


def openings(trace: Mapping[str, Any]) -> int:
    """Return how many different first steps the last round's partial answers descend from.

    Args:
        trace: of a particle filter or a beam search.
    """
    nodes, last = trace["nodes"], trace["rounds"][-1]
    texts = set[str]()
    for at in last.get("particles") or last.get("candidates") or ():
        while nodes[at]["parent"]:
            at = nodes[at]["parent"]
        texts.add(nodes[at]["text"])
    return len(texts)
