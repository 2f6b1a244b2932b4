"""Where the experiment starts: a policy that imitates worked chains in which every sixth step is wrong."""

from __future__ import annotations

import re

from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.heads import HeadSettings
from pilothouse.policies.tiny import tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.tasks.chain_arithmetic import ChainArithmetic


def slipping(problem: Problem, slip: float, modulus: int, seeds: SeedTree) -> Problem:
    """Return a chain with a solution that goes on from its own mistakes.

    Args:
        problem: a chain with operands and results below ten.
        slip: chance that a step's result is another digit than the right one.
        modulus: results are taken modulo this.
        seeds: node that draws the mistakes.
    """
    rng, prompt = seeds.numpy(), str(problem.prompt)
    value, lines = int(prompt[0]), list[str]()
    for operator, operand in re.findall(r"([-+*])(\d)", prompt):
        number = int(operand)
        result = value + number if operator == "+" else value - number if operator == "-" else value * number
        wrong = int(rng.integers(1, modulus)) if rng.random() < slip else 0
        reached = (result + wrong) % modulus
        lines.append(f"{value}{operator}{operand}={reached}")
        value = reached
    return Problem(problem.id, prompt, problem.answer, "\n".join(lines) + ".")


def weak_policy(
    task: ChainArithmetic, size: str, shown: int, slip: float, warm: WarmStart, head: HeadSettings, seed: int
) -> CausalPolicy:
    """Return a policy that gets most steps right and most chains wrong; its weights are cached.

    Args:
        task: what is learnt later; none of its held-out chains is shown.
        size: of the tiny policy.
        shown: demonstrations.
        slip: chance of a mistake in each of their steps.
        warm: how long and how it imitates them.
        head: its value head, which starts at zero.
        seed: root of weights, mistakes and order.
    """
    seeds = SeedTree(seed)
    # The hash of a prompt decides its split by the ratio of their sizes, which must be the task's own.
    wide = task.model_copy(
        update={"train_size": shown, "test_size": shown * task.test_size // task.train_size, "seed": seed + 1}
    )
    lessons = [
        slipping(problem, slip, task.modulus, seeds / "slips" / problem.id) for problem in wide.problems("train")
    ]
    bare = tiny_policy(task.character_set, (seeds / "weights").integer(), size)
    cached_warm_start(bare, lessons, warm, seed=(seeds / "warm-start").integer())
    return CausalPolicy(bare.model, bare.tokenizer, value_head=head)
