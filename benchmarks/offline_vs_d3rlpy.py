"""Gradient steps a second of TD3+BC and IQL here and in d3rlpy: same batch size and networks, one thread, CPU.

Run with ``python benchmarks/offline_vs_d3rlpy.py --d3rlpy PYTHON``, where PYTHON is the interpreter of an environment
of its own that has d3rlpy (it pins other versions of gymnasium than this library's). Each round runs both sides one
after the other, each in a fresh process, and gives one ratio; their order changes from round to round. "draw and
update" is what a training loop does at each step: draw a batch from the data, take the step. "update" takes the step on
a batch that was drawn before. "processor" is the time that the process spent on a processor, which a busy machine
changes far less than the wall clock.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

ALGORITHMS = ("td3-bc", "iql")
STATES, ACTIONS, BATCH, TRANSITIONS = 11, 3, 256, 20_000  # of the Hopper task


def data() -> dict[str, np.ndarray]:
    """Return the same made-up transitions for both sides, in episodes of a thousand steps."""
    draws = np.random.default_rng(0)
    ends = np.zeros(TRANSITIONS, dtype=np.float32)
    ends[999::1000] = 1
    return {
        "observations": draws.standard_normal((TRANSITIONS, STATES), dtype=np.float32),
        "actions": np.tanh(draws.standard_normal((TRANSITIONS, ACTIONS), dtype=np.float32)),
        "rewards": draws.standard_normal(TRANSITIONS, dtype=np.float32),
        "ends": ends,
    }


def ours(algorithm: str) -> dict[str, Callable[[], Any]]:
    """Return this library's two kinds of steps."""
    from pilothouse.control.learner import Learner
    from pilothouse.control.offline_data import Frame
    from pilothouse.control.transitions import Transitions
    from pilothouse.core.seeds import SeedTree

    rows = data()
    state, action, reward = (torch.from_numpy(rows[name]) for name in ("observations", "actions", "rewards"))
    replay = Transitions.of(state, action, reward, state.roll(-1, 0), torch.zeros(TRANSITIONS))
    learner = Learner.build(algorithm).begin(Frame.blank(STATES, ACTIONS), SeedTree(0))
    fixed = replay.draw(BATCH, torch.Generator().manual_seed(0))
    return {"draw and update": lambda: learner.update(replay), "update": lambda: learner.step_on(fixed)}


def theirs(algorithm: str) -> dict[str, Callable[[], Any]]:
    """Return d3rlpy's two kinds of steps."""
    import d3rlpy

    rows = data()
    dataset = d3rlpy.dataset.MDPDataset(
        rows["observations"], rows["actions"], rows["rewards"], np.zeros(TRANSITIONS, np.float32), timeouts=rows["ends"]
    )
    config = {"td3-bc": d3rlpy.algos.TD3PlusBCConfig, "iql": d3rlpy.algos.IQLConfig}[algorithm]
    learner = config(batch_size=BATCH).create(device="cpu:0")
    learner.build_with_dataset(dataset)
    fixed = dataset.sample_transition_batch(BATCH)
    return {
        "draw and update": lambda: learner.update(dataset.sample_transition_batch(BATCH)),
        "update": lambda: learner.update(fixed),
    }


SIDES = {"pilothouse": ours, "d3rlpy": theirs}


def work(side: str, algorithm: str, steps: int) -> dict[str, dict[str, float]]:
    """Return steps a second of one side by kind of step: by the wall clock, and by the processor's."""
    torch.set_num_threads(1)
    found: dict[str, dict[str, float]] = {}
    for kind, step in SIDES[side](algorithm).items():
        for _ in range(max(2, steps // 10)):
            step()
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        found[kind] = {
            "steps/s": steps / (time.perf_counter() - wall),
            "steps/s of processor": steps / (time.process_time() - processor),
        }
    return found


def measure(side: str, algorithm: str, steps: int, interpreter: str) -> dict[str, dict[str, float]]:
    """Run one side in a process of its own.

    Raises:
        RuntimeError: the process failed.
    """
    command = [interpreter, __file__, "--side", side, "--algorithms", algorithm, "--steps", str(steps)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise RuntimeError(f"the {side} side failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def compare(algorithm: str, rounds: int, steps: int, interpreter: str) -> dict[str, Any]:
    """Return every round of both sides and the ratios of the rounds."""
    runs: dict[str, list[dict[str, dict[str, float]]]] = {side: [] for side in SIDES}
    for turn in range(rounds):
        for side in list(SIDES)[:: 1 if turn % 2 == 0 else -1]:
            python = sys.executable if side == "pilothouse" else interpreter
            runs[side].append(measure(side, algorithm, steps, python))
    ratios = {
        f"{kind}, {clock}": [a[kind][clock] / b[kind][clock] for a, b in zip(*runs.values(), strict=True)]
        for kind in ("draw and update", "update")
        for clock in ("steps/s", "steps/s of processor")
    }
    return {"algorithm": algorithm, "runs": runs, "ratios": ratios}


def table(found: dict[str, Any]) -> str:
    """Return a comparison as text: medians of both sides, and the ratio with its smallest and largest."""
    lines = [f"{found['algorithm']:<42}{'pilothouse':>11}{'d3rlpy':>9}  ratio"]
    for name, ratios in found["ratios"].items():
        kind, clock = name.split(", ")
        ours_, theirs_ = (statistics.median(run[kind][clock] for run in runs) for runs in found["runs"].values())
        spread = f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
        lines.append(f"  {name:<40}{ours_:>11.0f}{theirs_:>9.0f}  {spread}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--d3rlpy", default=sys.executable, help="interpreter of an environment that has d3rlpy")
    parser.add_argument("--algorithms", nargs="+", default=list(ALGORITHMS), choices=ALGORITHMS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=300, help="counted steps of a run")
    parser.add_argument("--json", type=Path, help="file for every figure")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(work(given.side, given.algorithms[0], given.steps)))
        return
    found = [compare(name, given.rounds, given.steps, given.d3rlpy) for name in given.algorithms]
    print("\n\n".join(table(one) for one in found))
    if given.json:
        given.json.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
