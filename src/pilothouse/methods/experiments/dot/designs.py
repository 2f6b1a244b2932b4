"""The network experiment behind DOT: sums that tempt the policy to check itself on easy problems too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pilothouse.core.problems import Problem
from pilothouse.methods.experiments.arms import Arm, TaskTrial
from pilothouse.methods.experiments.sums import PER_CLASS, SHAPE, WARM, by_class, noisy_answers
from pilothouse.tasks.check_chain import CheckChain

TASK = CheckChain(test_size=2 * PER_CLASS)
AFTER: Any = ["zero-variance", "predictive-sampling"]


def demonstrations(seed: int) -> list[Problem]:
    """Return the demonstrations of a seed."""
    return noisy_answers(TASK, seed)


CUT = {"name": "outlier-truncation", "alpha": 1.5, "margin": 2}


TRIAL = TaskTrial(
    name="sums",
    task=TASK,
    shape=SHAPE,
    warm=WARM,
    demonstrate=demonstrations,
    figures=by_class,
    arms={
        "GRPO": Arm("dot", {"select": {"name": "chain", "parts": AFTER}}),
        "DOT, alpha 1.5": Arm("dot", {"select": {"name": "chain", "parts": [CUT, *AFTER]}}),
    },
    training={"prompts": 8, "learning_rate": 3e-4, "minibatches": 1},
    measure_at=(0, 25, 50),
    equal_cost=True,
    averaged=("solved_groups", "cut_responses", "cut_broken", "oversampling", "kept_groups"),
)


def smoke(trial: TaskTrial = TRIAL) -> TaskTrial:
    """Return the trial cut down to seconds: it shows that everything runs and nothing else."""
    return replace(
        trial,
        warm=trial.warm.model_copy(update={"epochs": 0.02}),
        demonstrate=lambda seed: noisy_answers(TASK, seed, 2000),
        figures=lambda trainer: by_class(trainer, per_class=4),
        measure_at=(0, 1, 2),
        seeds=2,
        training={**trial.training, "prompts": 2},
    )
