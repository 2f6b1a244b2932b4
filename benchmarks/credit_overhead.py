"""Seconds that each credit and selector takes on N = 1,024 episodes of up to T = 2,048 tokens.

Run with ``python benchmarks/credit_overhead.py``. Credit is to stay below 2 % of a training step. The yardstick printed
last is the least that the step can cost on the same machine: one forward and backward pass of a 1 M-parameter
transformer over the same tokens at 6 floating-point operations a parameter and token, at the speed of a large matrix
product.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit, Select

N, T, G, REPEATS, PARAMETERS = 1024, 2048, 8, 5, 1_000_000


def batch() -> Rollouts:
    """Ragged episodes with tool text, truncation and graded rewards, drawn from a fixed seed."""
    draw = torch.Generator().manual_seed(0)
    lengths = torch.randint(T // 4, T + 1, (N,), generator=draw)
    inside = torch.arange(T) < lengths[:, None]
    actions = inside & (torch.rand(N, T, generator=draw) < 0.9)
    logprobs = -torch.rand(3, N, T, generator=draw)
    return Rollouts(
        prompts=((1,),) * N,
        tokens=torch.zeros(N, T, dtype=torch.long),
        action_mask=actions,
        sampler_logprobs=logprobs[0],
        rewards=torch.randint(0, 3, (N,), generator=draw).float(),
        groups=torch.arange(N) // G,
        truncated=lengths == T,
        lengths=lengths,
        segments=torch.full((N, T), -1),
        reward_parts={},
        train_mask=actions,
        stats_mask=torch.ones(N, dtype=torch.bool),
        old_logprobs=logprobs[1],
        ref_logprobs=logprobs[2],
        values=torch.randn(N, T, generator=draw),
    )


def seconds(work: Callable[[], object]) -> float:
    work()
    times: list[float] = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def yardstick(tokens: int) -> float:
    left = torch.randn(1024, 1024)
    speed = 2 * 1024**3 / seconds(lambda: left @ left)
    return 6 * PARAMETERS * tokens / speed


def main() -> None:
    rollouts = batch()
    step = yardstick(int(rollouts.action_mask.sum()))
    specs: list[tuple[type[Credit | Select], Any]] = [
        (Credit, name) for name in Credit.catalogue.classes() if name != "sum"
    ]
    specs += [(Credit, {"name": "reinforce-pp", "kl_coef": 0.1, "gamma": 0.99}), (Credit, "0.5*grpo + 0.5*rloo")]
    specs += [(Select, name) for name in Select.catalogue.classes() if name != "chain"]
    print(f"N = {N}, T = {T}, groups of {G}, {torch.get_num_threads()} threads, median of {REPEATS}")
    print(f"{'part':<52}{'ms':>8}{'% of the yardstick':>20}")
    for room, spec in specs:
        part = room.build(spec)
        taken = seconds(lambda part=part: part(rollouts))
        label = spec if isinstance(spec, str) else ", ".join(f"{key}={value}" for key, value in spec.items())
        print(f"{label:<52}{1000 * taken:>8.2f}{100 * taken / step:>20.3f}")
    print(f"{'yardstick: one pass of a 1 M-parameter model':<52}{1000 * step:>8.0f}")


if __name__ == "__main__":
    main()
