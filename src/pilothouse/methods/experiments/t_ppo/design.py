"""Truncated and synchronous PPO from the same starts: how busy the slots are, and what is learnt by decode steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.arms import scratch_trainer
from pilothouse.methods.experiments.t_ppo.count_on import CountOn
from pilothouse.methods.experiments.toys import warm_policy
from pilothouse.policies.tiny import TinyShape
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.group import Group
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.training.config import RunConfig, resolve
from pilothouse.training.evaluate import evaluate
from pilothouse.training.loop import Trainer

SHAPE = TinyShape(width=48, layers=2, heads=3, kv_heads=3, head_dim=16, mlp=192, context=64)
WARM = WarmStart(epochs=4, batch_tokens=2048, lr=3e-3, matrix_lr=1e-2, held_out=0.0)
WINDOW = 8


@dataclass(frozen=True)
class Variant:
    """One way of training.

    Args:
        window: tokens a response grows by at a time; 0 for as many as it may have, which is synchronous PPO.
        minibatches: optimiser steps a batch, of the policy and of the values.
        cut: what the state after a cut is worth.
    """

    window: int
    minibatches: int
    cut: str = "hold"


#: By tail, the variants by name.
VARIANTS: dict[str, dict[str, Variant]] = {
    "B": {
        "T-PPO x4": Variant(WINDOW, 4),
        "PPO x4": Variant(0, 4),
        "PPO x8": Variant(0, 8),
        "T-PPO x4, bootstrap": Variant(WINDOW, 4, "bootstrap"),
    },
    "A": {
        "T-PPO x2": Variant(WINDOW, 2),
        "PPO x2": Variant(0, 2),
        "PPO x4": Variant(0, 4),
    },
}


@dataclass(frozen=True)
class Run:
    """What one run came to.

    Args:
        probes: accuracy at 0, ``every``, 2 ``every`` ... decode steps.
        every: decode steps between probes.
        steps: lock-step decode steps in all.
        slot_use: share of the slots' chances to draw a token that were taken, over the whole run.
        explained: share of the returns' variance that the values explained, mean over the run's second half.
        skipped: training steps at which no response ended.
        iterations: training steps.
        tokens: tokens drawn.
        computed: tokens that the sampler computed, prefixes anew after each update.
        seconds: wall-clock seconds of sampling, judging and learning.
    """

    probes: list[float]
    every: int
    steps: float
    slot_use: float
    explained: float
    skipped: float
    iterations: int
    tokens: float
    computed: float
    seconds: float

    def reached(self, level: float) -> float:
        """Return the decode steps until two consecutive probes reached an accuracy; all of the budget if none did."""
        pairs = enumerate(pairwise(self.probes), start=1)
        last = (len(self.probes) - 1) * self.every
        return next((float(at * self.every) for at, pair in pairs if min(pair) >= level), float(last))


@dataclass(frozen=True)
class Design:
    """The size of the experiment.

    Args:
        budget: lock-step decode steps of a run, by tail.
        every: decode steps between probes.
        problems: attempts of a probe.
        seeds: independent runs a variant.
        slots: responses under way.
        warmup: batches of whole responses that the values learn from first.
        warm: how the starting policies are made.
        lessons: demonstrations they imitate.
    """

    budget: Mapping[str, int] = field(default_factory=lambda: {"A": 1000, "B": 1500})
    every: int = 100
    problems: int = 400
    seeds: int = 3
    slots: int = 64
    warmup: int = 60
    warm: WarmStart = field(default_factory=lambda: WARM)
    lessons: int = 16_000

    def config(self, tail: str, variant: Variant, seed: int) -> RunConfig:
        """Return the whole configuration of one run."""
        task = CountOn(tail=tail, count=self.lessons)  # pyright: ignore[reportArgumentType]
        rates = {"learning_rate": 3e-4, "minibatches": variant.minibatches}
        return resolve(
            "t-ppo",
            find_method("t-ppo").policy_gradient,
            {
                "task": task,
                "seed": seed,
                "credit": {"cut": variant.cut},
                "critic": {"learning_rate": 1e-3, "minibatches": variant.minibatches, "warmup": self.warmup},
                "training": {**rates, "prompts": self.slots, "window": variant.window or task.limit, "record": "text"},
            },
        )


def run_design(design: Design, folder: Path, progress: Progress) -> dict[str, dict[str, list[Run]]]:
    """Return every run, a list over seeds, by tail and variant; finished runs are read back from ``folder``.

    Args:
        design: the experiment.
        folder: keeps a file for each finished run.
        progress: shows what happens.
    """
    found = {tail: {name: list[Run]() for name in variants} for tail, variants in VARIANTS.items()}
    order = [(seed, tail, name) for seed in range(design.seeds) for tail in VARIANTS for name in VARIANTS[tail]]
    order.sort(key=lambda run: VARIANTS[run[1]][run[2]].cut != "hold")  # what no claim is about comes last
    for seed, tail, name in order:
        progress.say(f"tail {tail}: seed {seed + 1} of {design.seeds}, {name}")
        config = design.config(tail, VARIANTS[tail][name], seed)
        facts: Mapping[str, Any] = {
            "config": config.model_dump(mode="json"),
            "warm": design.warm.model_dump(),
            "shape": SHAPE.model_dump(),
            "size": [design.budget[tail], design.every, design.problems],
        }
        label = name.replace(", ", "-").replace(" ", "-")
        path = folder / f"tail-{tail}-seed-{seed}-{label}.json"
        found[tail][name].append(Run(**kept(path, facts, lambda c=config: _run(design, c, progress))))
    return found


def _run(design: Design, config: RunConfig, progress: Progress) -> dict[str, Any]:
    """Train until the budget of decode steps is spent, probing whenever another ``every`` of them are."""
    task = config.task
    assert isinstance(task, CountOn)
    policy = warm_policy(task, design.warm, config.seed, SHAPE)
    rows: list[dict[str, Any]] = []
    probes, steps, sampled, chances, budget = list[float](), 0.0, 0.0, 0.0, design.budget[task.tail]
    with scratch_trainer(config, policy, progress) as trainer:
        probes.append(_probe(design, trainer))
        trainer.warm_up()
        before = trainer.cost
        while steps < budget:
            rows.append(row := trainer.step(len(rows)))
            steps += row["decode_steps"]
            sampled += row["slot_use"] * row["decode_steps"] * row["slots"]
            chances += row["decode_steps"] * row["slots"]
            while len(probes) * design.every <= min(steps, budget):
                probes.append(_probe(design, trainer))
        cost = trainer.cost - before
    known = [row["critic/explained_variance"] for row in rows[len(rows) // 2 :] if "critic/explained_variance" in row]
    finite = [share for share in known if share == share]
    return {
        "probes": probes,
        "every": design.every,
        "steps": steps,
        "slot_use": sampled / chances,
        "explained": sum(finite) / max(len(finite), 1),
        "skipped": rows[-1]["critic/skipped"],
        "iterations": len(rows),
        "tokens": float(cost.tokens_sampled),
        "computed": float(cost.tokens_computed),
        "seconds": cost.seconds,
    }


def _probe(design: Design, trainer: Trainer) -> float:
    """Return the accuracy of fresh attempts at problems drawn as in training; the same draws at every probe."""
    node, problems = trainer.seeds / "measure", trainer.task.problems("train")
    chosen = [problems[at] for at in (node / "problems").numpy().integers(len(problems), size=design.problems)]
    return evaluate(trainer.runner, Group(n=1), trainer.policy, trainer.task, chosen, node).accuracy.estimate
