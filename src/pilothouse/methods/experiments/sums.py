"""Easy and hard sums with optional checking, learnt by a policy of a hundred thousand parameters from noisy answers."""

from __future__ import annotations

from dataclasses import replace

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.arms import Figures
from pilothouse.policies.tiny import TinyShape
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.base import Program
from pilothouse.programs.group import Group
from pilothouse.tasks.check_chain import CheckChain
from pilothouse.training.evaluate import evaluate
from pilothouse.training.loop import Trainer

SHAPE = TinyShape(width=64, layers=2, heads=4, kv_heads=4, head_dim=16, mlp=192, context=96)
WARM = WarmStart(epochs=5, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0)
LESSONS = 8_000  #: demonstrations
PER_CLASS = 512  #: held-out problems of each kind that lengths and accuracy are measured on


def noisy_answers(task: CheckChain, seed: int, count: int = LESSONS) -> list[Problem]:
    """Return training problems with the answers of a solver that errs on hard ones and repairs some by checking.

    Args:
        task: whose problems.
        seed: root of the solver's luck.
        count: answers.
    """
    rng = (SeedTree(seed) / "demonstrations").numpy()
    problems = task.problems("train")
    chosen = (problems[i % len(problems)] for i in range(count))
    return [replace(problem, solution=task.attempt(problem, rng)) for problem in chosen]


def by_class(trainer: Trainer, program: Program | None = None, per_class: int = PER_CLASS) -> Figures:
    """Return length and accuracy on held-out easy and hard problems, sampled at temperature 1, one answer each.

    The same draws whenever it is called with one seed.

    Args:
        trainer: holds the policy.
        program: how a problem is attempted.
        per_class: problems of each kind.
    """
    figures: Figures = {}
    for name, hard in (("easy", False), ("hard", True)):
        problems = [p for p in trainer.task.problems("test") if p.info["hard"] == hard][:per_class]
        node = trainer.seeds / "measure" / name
        found = evaluate(trainer.runner, program or Group(n=1), trainer.policy, trainer.task, problems, node)
        figures |= {f"{name}_length": found.length, f"{name}_accuracy": found.accuracy.estimate}
    return figures
