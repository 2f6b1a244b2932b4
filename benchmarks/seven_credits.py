"""GRPO and the seven credit methods on three tasks: one start, the same seeds, equal tokens computed in sampling.

Run with ``python benchmarks/seven_credits.py --out runs/seven-credits``; ``PILOTHOUSE_DATA`` names a folder with GSM8K,
without which its calculations are generated. Every finished run is kept in the folder and not made again; the table is
written anew, as Markdown and JSON, after each seed of a task. A method that the library does not have is left out.

GRPO takes a fixed number of steps; every other arm trains until its sampling has computed as many tokens. Each arm is
its method's own recipe but for batch, group and optimiser, which are the same for all, and for thresholds in tokens
that were made for answers a hundred times as long (``changes``). Responses may begin with a letter, which stands for
the budget that HBPO announces; a quarter of the demonstrations begins with a random one, for every arm.
"""

from __future__ import annotations

import argparse
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Problem, Score
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.arms import Arm, Curve, Figures, TaskTrial, run_trial
from pilothouse.methods.experiments.measured import data_folder, figure, over, points
from pilothouse.methods.experiments.sums import noisy_answers
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import TinyShape, tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.group import Group
from pilothouse.reports.files import write_json
from pilothouse.reports.progress import make_progress
from pilothouse.reports.statistics import Interval
from pilothouse.tasks.base import Task
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.tasks.check_chain import CheckChain
from pilothouse.tasks.gsm8k_calc import Gsm8kCalc
from pilothouse.training.evaluate import evaluate, held_out
from pilothouse.training.loop import Trainer

METHODS = ("riskpo", "d3s", "adora", "progrpo", "dot", "hbpo", "t-ppo")
SEEDS, PROMPTS, GROUP = 3, 15, 16
HELD_OUT, ATTEMPTS = 128, 8
LETTERS = ("a", "b", "c", "d")
SHAPE = TinyShape(width=64, layers=2, heads=4, kv_heads=4, head_dim=16, mlp=192, context=128)


class Lettered(Task):
    """A task whose responses may begin with letters, which do not count."""

    def score(self, problem: Problem, response: str) -> Score:
        """Return the verdict on what follows the letters."""
        return super().score(problem, response.lstrip("".join(LETTERS)))


class Sums(Lettered, CheckChain):
    """Sums with optional checking."""

    character_set: ClassVar[str] = CheckChain.character_set + "".join(LETTERS)


class Chains(Lettered, ChainArithmetic):
    """Chains of modular arithmetic."""

    character_set: ClassVar[str] = ChainArithmetic.character_set + "".join(LETTERS)


class Calculations(Lettered, Gsm8kCalc):
    """Those of GSM8K's calculations that take one step and have a result of at most three digits."""

    character_set: ClassVar[str] = Gsm8kCalc.character_set + "".join(LETTERS)

    def problems(self, split: str) -> Sequence[Problem]:
        """Return the short ones: few of the others are within reach of so small a policy."""
        return [problem for problem in super().problems(split) if len(problem.solution) <= 4]


@dataclass(frozen=True)
class Setting:
    """A task of the comparison, set up on a seed of its own.

    Args:
        task: what is learnt.
        epochs: how long the starting policy imitates demonstrations, so that something is left to learn.
        shown: demonstrations of a task.
        learning_rate: AdamW's, for every arm.
        budgets: lengths that HBPO announces, in tokens.
        measure_at: training steps at which GRPO is measured; it ends at the last one.
    """

    task: Task
    epochs: float
    shown: Callable[[Any], list[Problem]]
    learning_rate: float
    budgets: tuple[int, ...]
    measure_at: tuple[int, ...]


def noisy_chains(task: ChainArithmetic, slip: float = 0.12) -> list[Problem]:
    """Return chains whose steps end in a random other value now and then.

    Args:
        task: whose problems.
        slip: chance of that, a step.
    """
    rng, found = (SeedTree(0) / "demonstrations").numpy(), list[Problem]()
    apply = {"+": operator.add, "-": operator.sub, "*": operator.mul}
    for problem in task.problems("train"):
        value, lines = int(re.split(r"[-+*:]", str(problem.prompt))[0]), list[str]()
        for sign, operand in re.findall(r"([-+*])(\d+)", str(problem.prompt)):
            wrong = int(rng.integers(1, task.modulus)) if rng.random() < slip else 0
            result = (apply[sign](value, int(operand)) + wrong) % task.modulus
            lines.append(f"{value}{sign}{operand}={result}")
            value = result
        found.append(replace(problem, solution="\n".join(lines) + "."))
    return found


def solutions(task: Task) -> list[Problem]:
    """Return worked solutions."""
    return list(task.problems("train"))


STEPS = (0, 8, 16, 24)
SETTINGS = {
    "check-chain": Setting(Sums(), 5, lambda task: noisy_answers(task, 0), 3e-4, (8, 16, 32, 40), STEPS),
    "chain-arithmetic": Setting(Chains(chain_steps=4), 2, noisy_chains, 5e-4, (16, 24, 32, 40), STEPS),
    "gsm8k-calc": Setting(
        Calculations(data=data_folder() or "generated"), 12, solutions, 5e-4, (2, 4, 6, 8), (0, 20, 40, 60)
    ),
}


def changes(method: str, budgets: tuple[int, ...]) -> dict[str, Any]:
    """Return what a method's recipe needs to work at this size; nothing for most.

    Args:
        method: its name.
        budgets: lengths to announce.
    """
    if method == "hbpo":
        return {"program": {"n": GROUP, "budgets": budgets, "announcements": LETTERS}}
    if method == "dot":  # its own advice for short answers
        cut = {"name": "outlier-truncation", "alpha": 1.5, "margin": 2}
        return {"select": {"name": "chain", "parts": [cut, "zero-variance", "predictive-sampling"]}}
    return {}


@dataclass(frozen=True, kw_only=True)
class Comparison(TaskTrial):
    """A trial whose seeds share one start and differ in problems and sampling; every policy has a value head."""

    def start(self, seed: int) -> CausalPolicy:
        """Return a tiny policy that imitates the demonstrations, a quarter of which begins with a random letter."""
        policy = tiny_policy(self.task.character_set, 0, self.shape)
        rng, begin = (SeedTree(0) / "letters").numpy(), (*[""] * 12, *LETTERS)
        shown = [replace(p, solution=begin[int(rng.integers(len(begin)))] + p.solution) for p in self.demonstrate(0)]
        cached_warm_start(policy, shown, self.warm, seed=0)
        return CausalPolicy(policy.model, policy.tokenizer, value_head=True, seed=seed)

    def facts(self) -> dict[str, Any]:
        """Return how the start is made and what is measured."""
        return {**super().facts(), "held_out": HELD_OUT, "attempts": ATTEMPTS}


def figures(trainer: Trainer) -> Figures:
    """Return held-out figures of sampling at temperature 1; the same draws whenever it is called with one seed."""
    node = trainer.seeds / "measure"
    problems = held_out(trainer.task, HELD_OUT, node / "problems")
    found = evaluate(trainer.runner, Group(n=ATTEMPTS), trainer.policy, trainer.task, problems, node / "samples")
    return {
        "accuracy": found.accuracy.estimate,
        "length": found.length,
        "entropy": found.entropy,
        "solved": found.solved,
    }


def comparison(name: str, methods: Sequence[str], seeds: int) -> Comparison:
    """Return the trial of a task.

    Args:
        name: the task's.
        methods: names of the arms' methods; the first one's cost is everybody's budget.
        seeds: independent runs an arm.
    """
    chosen = SETTINGS[name]
    arms = {method: Arm(method, {"program": {"n": GROUP}, **changes(method, chosen.budgets)}) for method in methods}
    return Comparison(
        name=name,
        arms=arms,
        measure_at=chosen.measure_at,
        seeds=seeds,
        equal_cost=True,
        task=chosen.task,
        shape=SHAPE,
        warm=WarmStart(epochs=chosen.epochs, batch_tokens=1024, lr=3e-3, matrix_lr=1e-2, held_out=0.0),
        demonstrate=lambda seed: chosen.shown(chosen.task),
        figures=figures,
        training={"prompts": PROMPTS, "minibatches": 1, "epochs": 1, "learning_rate": chosen.learning_rate},
    )


def tokens_to(curve: Curve, target: float) -> float | None:
    """Return the tokens computed until the accuracy was reached, on straight lines between measurements.

    Args:
        curve: one run.
        target: the accuracy.
    """
    track = sorted((row["tokens_computed"], row["accuracy"]) for row in curve.values())
    for (before, low), (after, high) in zip([(0.0, track[0][1]), *track[:-1]], track, strict=True):
        if high >= target:
            return before if low >= target else before + (after - before) * (target - low) / (high - low)
    return None


def target_of(runs: Mapping[str, Sequence[Curve]]) -> float:
    """Return the fixed accuracy of a task: half-way between the start and where GRPO ended, over all seeds.

    Args:
        runs: curves by method.
    """
    return (over(figure(runs["grpo"], "accuracy", 0)).estimate + over(figure(runs["grpo"], "accuracy")).estimate) / 2


def rows_of(name: str, runs: Mapping[str, Sequence[Curve]]) -> list[str]:
    """Return the task's rows of the table, in Markdown.

    Args:
        name: the task's.
        runs: curves by method.
    """
    rows: list[str] = []
    base, target = figure(runs["grpo"], "accuracy"), target_of(runs)
    for method, curves in runs.items():
        accuracy = figure(curves, "accuracy")
        reached = [spent for curve in curves if (spent := tokens_to(curve, target)) is not None]
        cells = [
            f"{100 * over(accuracy).estimate:.1f}",
            "" if method == "grpo" else shown(points(accuracy, base), 1, sign=True),
            shown(over(figure(curves, "length")), 1),
            shown(over(figure(curves, "entropy")), 3),
            shown(over([100 * x for x in figure(curves, "solved")]), 1),
            shown(over([x / 1000 for x in reached]), 0) if len(reached) == len(curves) else f"{len(reached)} reach it",
            f"{over(figure(curves, 'steps')).estimate:.0f}",
        ]
        rows.append(f"| {name} | {method} | " + " | ".join(cells) + " |")
    start = [curve["0"] for curve in runs["grpo"]]
    means = {key: over([row[key] for row in start]).estimate for key in ("accuracy", "length", "entropy", "solved")}
    first = (
        f"| {name} | start | {100 * means['accuracy']:.1f} | | {means['length']:.1f} | {means['entropy']:.3f} "
        f"| {100 * means['solved']:.1f} | | |"
    )
    return [first, *rows]


def shown(interval: Interval, digits: int, *, sign: bool = False) -> str:
    """Return an estimate with its 95 % interval, if more than one seed gives one."""
    plus = "+" if sign else ""
    text = f"{interval.estimate:{plus}.{digits}f}"
    return text if interval.n < 2 else f"{text} [{interval.low:{plus}.{digits}f}, {interval.high:{plus}.{digits}f}]"


def write(found: Mapping[str, Mapping[str, Sequence[Curve]]], missing: Sequence[str], out: Path) -> None:
    """Write the table and everything it comes from.

    Args:
        found: curves by task and method.
        missing: methods that the library does not have.
        out: the folder.
    """
    head = (
        f"accuracy % | less GRPO's, points | length | entropy | pass@{ATTEMPTS} % | thousand tokens to target | steps"
    )
    lines = [f"| task | method | {head} |", "|---|---|---:|---|---|---|---|---|---:|"]
    for name, runs in found.items():
        lines += rows_of(name, runs)
    seeds = ", ".join(f"{name} {len(runs['grpo'])}" for name, runs in found.items())
    targets = ", ".join(f"{name} {100 * target_of(runs):.1f} %" for name, runs in found.items())
    lines += ["", f"Seeds: {seeds}. Target, half-way from the start to where GRPO ended: {targets}."]
    lines += [f"Left out, because the library does not have it: {name}." for name in missing]
    (out / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_json(out / "seven-credits.json", {name: dict(runs) for name, runs in found.items()})
    print("\n".join(lines), flush=True)


def known(method: str) -> bool:
    """Return whether the library has a method."""
    try:
        find_method(method)
    except ConfigError:
        return False
    return True


def main() -> None:
    """Run what is missing, seed by seed over all tasks, and write the table after each."""
    parser = argparse.ArgumentParser(description="GRPO and the seven credit methods at equal computed tokens")
    parser.add_argument("--out", type=Path, default=Path("runs/seven-credits"))
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--tasks", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    options = parser.parse_args()
    methods = ["grpo", *(method for method in METHODS if known(method))]
    found: dict[str, Mapping[str, Sequence[Curve]]] = {}
    for seeds in range(1, options.seeds + 1):
        for name in options.tasks:
            found[name] = run_trial(comparison(name, methods, seeds), options.out / "runs", make_progress())
            write(found, [method for method in METHODS if method not in methods], options.out)


if __name__ == "__main__":
    main()
