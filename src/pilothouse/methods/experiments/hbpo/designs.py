"""The network experiment behind HBPO: sums whose answers may begin with a letter that announces a budget."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.arms import Arm, Figures, TaskTrial
from pilothouse.methods.experiments.sums import LESSONS, PER_CLASS, SHAPE, WARM, by_class, noisy_answers
from pilothouse.programs.budgeted import BudgetedGroup
from pilothouse.programs.prefixed import PrefixedGroup
from pilothouse.tasks.check_chain import CheckChain
from pilothouse.training.loop import Trainer

BUDGETS, LETTERS = (8, 16, 32, 40), ("a", "b", "c", "d")


class BudgetedSums(CheckChain):
    """The sums of check-chain, whose responses may begin with a letter that stands for a budget."""

    name: ClassVar[str] = "pilothouse.methods.experiments.hbpo.designs:BudgetedSums"
    character_set: ClassVar[str] = CheckChain.character_set + "".join(LETTERS)

    def score(self, problem: Problem, response: str) -> Score:
        """Return the verdict on what follows the letter."""
        return super().score(problem, response.lstrip("".join(LETTERS)))


TASK = BudgetedSums(test_size=2 * PER_CLASS)


def demonstrations(seed: int, count: int = LESSONS) -> list[Problem]:
    """Return noisy answers, half of which begin with a random letter that says nothing yet.

    Args:
        seed: root of all draws.
        count: answers.
    """
    rng = (SeedTree(seed) / "letters").numpy()
    shown = noisy_answers(TASK, seed, count)
    letters = ("", "", "", "", *LETTERS)
    return [replace(p, solution=letters[int(rng.integers(len(letters)))] + p.solution) for p in shown]


def measure(trainer: Trainer, per_class: int = PER_CLASS, budgets: bool = True) -> Figures:
    """Return length and accuracy by class without a letter, easy lengths with each, and the reach of a group's lengths.

    Args:
        trainer: holds the policy.
        per_class: held-out problems of each kind.
        budgets: also measure with each letter.
    """
    found = by_class(trainer, per_class=per_class)
    for budget, letter in zip(BUDGETS, LETTERS, strict=True) if budgets else ():
        told = by_class(trainer, PrefixedGroup(n=1, prefix=letter), per_class // 2)
        found |= {f"{name}, budget {budget}": told[name] for name in ("easy_length", "hard_length")}
    return found


PROGRAM = BudgetedGroup(n=16, budgets=BUDGETS, announcements=LETTERS)
PLAIN: dict[str, Any] = {"program": {"name": "group", "n": 16}}

TRIAL = TaskTrial(
    name="budgeted sums",
    task=TASK,
    shape=SHAPE,
    warm=WARM,
    demonstrate=demonstrations,
    figures=measure,
    arms={
        "classic": Arm("hbpo", {**PLAIN, "credit": {"name": "grpo", "eps": 1e-6}}),
        "cosine": Arm("hbpo", {**PLAIN, "credit": {"name": "budget-reward", "of": {"name": "grpo", "eps": 1e-6}}}),
        "HBPO": Arm("hbpo", {"program": PROGRAM.model_dump(mode="json")}),
    },
    training={"prompts": 8, "learning_rate": 3e-4, "minibatches": 1},
    measure_at=(0, 30, 60),
    equal_cost=True,
    averaged=("group_length_std",),
)


def smoke(trial: TaskTrial = TRIAL) -> TaskTrial:
    """Return the trial cut down to seconds: it shows that everything runs and nothing else."""
    return replace(
        trial,
        warm=trial.warm.model_copy(update={"epochs": 0.02}),
        demonstrate=lambda seed: demonstrations(seed, 2000),
        figures=lambda trainer: measure(trainer, per_class=4),
        measure_at=(0, 1, 2),
        seeds=2,
        training={**trial.training, "prompts": 2},
    )
