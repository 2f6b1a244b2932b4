"""One seed of the experiment: a weak policy, two rounds of AlphaMath, and what came of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.alphamath.measure import Bench, Figures, measure
from pilothouse.methods.experiments.alphamath.start import weak_policy
from pilothouse.methods.experiments.arms import scratch_trainer
from pilothouse.policies.warm_start import WarmStart
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.training.config import RunConfig, resolve

#: What was measured of a policy, by round, then by name.
Rounds = dict[str, dict[str, Figures]]


@dataclass(frozen=True)
class Design:
    """The experiment's size.

    Args:
        modulus: of the chains.
        operations: of the chains.
        size: of the tiny policy.
        shown: demonstrations of the warm start.
        slip: chance of a mistake in each of their steps.
        epochs: passes over them.
        questions: training questions.
        held_out: held-out questions.
        seeds: independent repetitions.
        rounds: of search and training.
        sims: simulations a tree.
        children: steps sampled a simulation.
        passes: over a round's paths.
        minibatches: updates a pass.
        learning_rate: AdamW's.
    """

    modulus: int = 10
    operations: str = "+-*"
    size: str = "1m"
    shown: int = 12_000
    slip: float = 0.25
    epochs: float = 1.0
    questions: int = 400
    held_out: int = 200
    seeds: int = 3
    rounds: int = 2
    sims: int = 16
    children: int = 4
    passes: int = 3
    minibatches: int = 40
    learning_rate: float = 1e-3

    def task(self, seed: int) -> ChainArithmetic:
        """Return six-step chains modulo ten."""
        return ChainArithmetic(
            modulus=self.modulus,
            operations=self.operations,
            train_size=self.questions,
            test_size=self.held_out,
            seed=seed,
        )

    def config(self, seed: int) -> RunConfig:
        """Return the method's own recipe at this size."""
        table: dict[str, Any] = {
            "seed": seed,
            "task": self.task(seed).model_dump(mode="json"),
            "policy": {"size": self.size},
            "program": {"n_sims": self.sims, "n_children": self.children},
            "training": {
                "steps": self.rounds,
                "prompts": self.questions,
                "epochs": self.passes,
                "minibatches": self.minibatches,
                "learning_rate": self.learning_rate,
                "record": "text",
            },
        }
        return resolve("alphamath", find_method("alphamath").policy_gradient, table)


SMALL = Design()
SMOKE = replace(SMALL, size="nano", shown=200, epochs=0.2, questions=6, held_out=4, seeds=2, sims=4, minibatches=2)


def run_seed(design: Design, seed: int, folder: Path, progress: Progress) -> Rounds:
    """Return what one seed reached before, between and after the rounds; read back if it was done before.

    Args:
        design: the experiment's size.
        seed: root of the task, the policy and every draw.
        folder: keeps a file for each finished seed.
        progress: shows what happens.
    """
    config = design.config(seed)
    facts = {"design": asdict(design), "config": config.model_dump(mode="json")}
    return kept(folder / f"seed-{seed}.json", facts, lambda: _run(design, config, progress))


def _run(design: Design, config: RunConfig, progress: Progress) -> Rounds:
    task = design.task(config.seed)
    warm = WarmStart(epochs=design.epochs)
    policy = weak_policy(task, design.size, design.shown, design.slip, warm, config.value_head, config.seed)
    bench = Bench(policy, task, SeedTree(config.seed) / "measure", progress)
    found: Rounds = {"0": measure(bench, search=False)}
    with scratch_trainer(config, policy, progress) as trainer:
        for step in range(design.rounds):
            row = trainer.step(step)
            names = ("accuracy", "episodes", "trained_tokens", "nll", "step_value_loss", "tokens_computed", "seconds")
            found[f"training {step + 1}"] = {"round": {name: float(row[name]) for name in names}}
            last = step + 1 == design.rounds
            progress.say(
                f"round {step + 1}: paths right {row['accuracy']:.3f}, value loss {row['step_value_loss']:.4f}"
            )
            found[str(step + 1)] = measure(bench, search=last)
    return found
