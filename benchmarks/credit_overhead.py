"""Processor time of each credit and selector on N = 1,024 episodes of up to T = 2,048 tokens, beside a training step.

Run with ``OMP_NUM_THREADS=1 python benchmarks/credit_overhead.py``; ``--table`` prints Markdown. Any credit or selector
is to stay below 2 % of a training step. The step is one of the tiny policy of a million parameters on this processor:
sampled, judged and learnt from, on fewer and shorter responses, and scaled by the number of response tokens. The fixed
cost of a sampling step weighs more in short responses, attention more in long ones, so it is a rough yardstick; the
last column is free of it: the shortest step of which the part would be 2 %.

A selector is timed as a step calls it: revise, select, narrow. Left out is what a part asks the trainer to compute,
such as entropies: forward passes of the policy. Processor time minds little what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.problems import Score
from pilothouse.core.requests import Tokens
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit, Select
from pilothouse.methods.base import find_method
from pilothouse.policies.tiny import tiny_policy
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.config import resolve
from pilothouse.training.loop import Trainer

N, T, G, REPEATS, PROMPT = 1024, 2048, 8, 5, 64
SEGMENT = 128  #: tokens of a node in the tree of responses
#: What a part is given besides its defaults, so that it has work to do.
SPECS: dict[str, Any] = {
    "sum": "0.5*grpo + 0.5*rloo",
    "chain": "zero-variance + overlong",
    "outlier-truncation": {"name": "outlier-truncation", "alpha": 1.0, "margin": 1, "success_threshold": 0.1},
}
MORE: list[tuple[type[Credit | Select], Any]] = [(Credit, {"name": "reinforce-pp", "kl_coef": 0.1, "gamma": 0.99})]


def batch() -> Rollouts:
    """Ragged episodes with tool text, truncation, trees, budgets and verdicts, drawn from a fixed seed."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(T // 4, T + 1, (N,), generator=draw)
    inside = torch.arange(T) < lengths[:, None]
    actions = inside & (torch.rand(N, T, generator=draw) < 0.9)
    logprobs = -torch.rand(3, N, T, generator=draw)
    prompts = -torch.rand(N // G, PROMPT - 1, generator=draw)
    rewards = torch.randint(0, 2, (N,), generator=draw).float()
    return Rollouts(
        prompts=((1,) * PROMPT,) * N,
        tokens=torch.randint(0, 20, (N, T), generator=draw).where(inside, 0),
        action_mask=actions,
        sampler_logprobs=logprobs[0].where(actions, 0.0),
        rewards=rewards,
        groups=torch.arange(N) // G,
        truncated=lengths == T,
        lengths=lengths,
        segments=(torch.arange(T) // SEGMENT).expand(N, T).where(inside, -1),
        segment_values=torch.full((N, T), torch.nan),
        reward_parts={},
        train_mask=actions,
        stats_mask=torch.ones(N, dtype=torch.bool),
        episodes=tuple(episode(row, int(size)) for row, size in enumerate(lengths)),
        max_length=T,
        old_logprobs=logprobs[1],
        ref_logprobs=logprobs[2],
        entropies=torch.rand(N, T, generator=draw),
        values=torch.randn(N, T, generator=draw),
        prompt_logprobs=tuple(tuple(row) for row in prompts.repeat_interleave(G, 0).tolist()),
    )


def episode(row: int, size: int) -> Episode:
    """Return a response in a binary tree of its group, which was told a budget."""
    turns = [str((row % G) >> depth & 1) if depth < 3 else "0" for depth in range(T // SEGMENT)]
    starts = range(0, size, SEGMENT)
    steps = (Segment(s, min(s + SEGMENT, size), ".".join(turns[: k + 1])) for k, s in enumerate(starts))
    return Episode(
        prompt=(1,) * PROMPT,
        tokens=(0,) * size,
        action_mask=(True,) * size,
        logprobs=(-1.0,) * size,
        segments=tuple(steps),
        problem_id=str(row // G),
        tags=(f"budget={512 * (1 + row % 4)}",),
    )


def seconds(work: Callable[[], object]) -> float:
    """Return the median processor time of a few calls."""
    work()
    times: list[float] = []
    for _ in range(REPEATS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def work_of(part: Credit | Select, rollouts: Rollouts, weights: torch.Tensor) -> Callable[[], object]:
    """Return what a training step asks of a part."""
    if isinstance(part, Credit):
        return lambda: part(rollouts)

    def judge(responses: Sequence[tuple[int, Tokens]]) -> list[Score]:
        return [Score(0.0, False)] * len(responses)

    return lambda: part.narrow(part(part.revise(rollouts, judge)), weights, 0.5)


def step_seconds() -> tuple[float, int]:
    """Return the processor time of a step of the tiny policy, a response token; and the tokens it was measured on.

    Every response trains (REINFORCE++), with one update of all of them.
    """
    recipe = find_method("reinforce-pp").policy_gradient
    settings = {
        "task": {"name": "chain-arithmetic", "max_tokens": 64},
        "program": {"n": 8},
        "training": {"prompts": 64, "steps": 1, "learning_rate": 1e-4, "record": "tokens"},
    }
    config = resolve("reinforce-pp", recipe, settings)
    policy = tiny_policy(config.task.character_set, 0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, policy, RunStore(Path(folder)), Progress())
        trainer.step(0)
        costs: list[float] = []
        for step in range(1, 1 + REPEATS):
            sampled, start = trainer.cost.tokens_sampled, time.process_time()
            trainer.step(step)
            costs.append((time.process_time() - start) / (trainer.cost.tokens_sampled - sampled))
    return statistics.median(costs), trainer.cost.tokens_sampled // (1 + REPEATS)


def main() -> None:
    """Print a line a part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--table", action="store_true", help="print a Markdown table")
    table = parser.parse_args().table
    rollouts = batch()
    a_token, measured = step_seconds()
    tokens = int(rollouts.lengths.sum())
    step = a_token * tokens
    weights = Credit.build("grpo")(rollouts)
    named = [(room, SPECS.get(name, name)) for room in (Credit, Select) for name in room.catalogue.classes()]
    print(
        f"N = {N:,}, T = {T:,}, {tokens:,} response tokens, groups of {G}, {torch.get_num_threads()} thread(s), median "
        f"of {REPEATS}; a step: {1e6 * a_token:.0f} us a token (measured on {measured:,}), {step:.0f} s"
    )
    if table:
        print("| part | ms | % of that step | 2 % of a step of, s |\n|---|---:|---:|---:|")
    for room, spec in [*named, *MORE]:
        taken = seconds(work_of(room.build(spec), rollouts, weights))
        label = spec if isinstance(spec, str) else ", ".join(f"{key} {value}" for key, value in spec.items())
        row = "| {} | {:.1f} | {:.3f} | {:.1f} |" if table else "{:<72}{:>9.1f}{:>9.3f}{:>8.1f}"
        print(row.format(label.removeprefix("name "), 1000 * taken, 100 * taken / step, taken / 0.02), flush=True)


if __name__ == "__main__":
    main()
