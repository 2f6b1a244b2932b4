"""The toy experiment behind D3S: expressions with many right answers, learnt from parts of each batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.arms import Arm, Figures, TaskTrial
from pilothouse.methods.experiments.toys import SHAPE, Expressions
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.group import Group
from pilothouse.training.evaluate import evaluate
from pilothouse.training.loop import Trainer

STEPS, EVERY = 150, 10
RANDOM = "pilothouse.methods.experiments.d3s.random_choice:RandomChoice"
TASK = Expressions()


NOISE, COPIES = 0.5, 4


def shown(seed: int) -> list[Problem]:
    """Return noisy demonstrations: the last digit of most of them is drawn by lot, so that most are wrong.

    Args:
        seed: root of the lots.
    """
    rng = (SeedTree(seed) / "demonstrations").numpy()
    lessons: list[Problem] = []
    for problem in TASK.demonstrations(SeedTree(seed)) * COPIES:
        lot = f"{problem.solution[:-1]}{rng.integers(10)}"
        lessons.append(replace(problem, solution=lot if rng.random() < NOISE else problem.solution))
    return lessons


def measure(trainer: Trainer, samples: int = 16) -> Figures:
    """Return the accuracy on every target, with the same draws at every step and for every arm of a seed.

    Args:
        trainer: holds the policy.
        samples: attempts at each target.
    """
    problems = TASK.problems("train")
    node = trainer.seeds / "measure"
    found = evaluate(trainer.runner, Group(n=samples), trainer.policy, TASK, problems, node)
    return {"accuracy": found.accuracy.estimate, "entropy": found.entropy, "distinct": found.distinct}


def _arm(name: str, n: Sequence[float], k: Sequence[float]) -> Arm:
    return Arm("d3s", {"select": {"name": name, "n": list(n), "k": list(k)}})


STRONG: Any = ((0.3, 0.6), (0.5, 1.0))
MILD: Any = ((0.5, 1.0), (0.5, 1.0))

TRIAL = TaskTrial(
    name="expressions",
    task=TASK,
    shape=SHAPE,
    warm=WarmStart(epochs=20, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
    demonstrate=shown,
    figures=measure,
    arms={
        "full batch": Arm("d3s", {"select": "everything"}),
        "D3S strong": _arm("d3s", *STRONG),
        "random strong": _arm(RANDOM, *STRONG),
        "D3S mild": _arm("d3s", *MILD),
        "random mild": _arm(RANDOM, *MILD),
        "fixed 25 % of 20 %": _arm("d3s", (0.25, 0.25), (0.2, 0.2)),
    },
    training={"prompts": 16, "learning_rate": 5e-4},
    measure_at=tuple(range(0, STEPS + 1, EVERY)),
)


def smoke(trial: TaskTrial = TRIAL) -> TaskTrial:
    """Return the trial cut down to seconds: it shows that everything runs and nothing else."""
    return replace(
        trial,
        warm=trial.warm.model_copy(update={"epochs": 0.02}),
        figures=lambda trainer: measure(trainer, 1),
        measure_at=(0, 1, 2),
        seeds=2,
        arms={name: trial.arms[name] for name in ("full batch", "D3S strong", "random strong")},
        training={**trial.training, "prompts": 4},
    )
