"""How one training step grows: its seconds and its peak memory against prompts, response length and group size.

Run with ``OMP_NUM_THREADS=1 python benchmarks/growth.py --out FOLDER``. A step is GRPO's on the tiny policy of a
million parameters: sampling, judging, credit, update and the record of every episode. No token ends a response and no
two rewards are equal, so every one of the prompts x group x length tokens is sampled and learnt from. One of the three
grows, the others stay at their base.

Every round visits every point in a process of its own, which takes one step to warm up and one that counts. Memory is
the process's highest in both, above what it held before them. The exponent of a curve is the slope of a straight line
through the medians on logarithmic axes: 1 is proportional. Leaves ``growth.json``, ``growth.png`` and ``growth.svg``,
prints a Markdown table.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from peak_memory import resident_mib
from pilothouse.core.problems import Problem
from pilothouse.methods.base import find_method
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import SIZES, tiny_policy
from pilothouse.reports.figures import BLUE, drawing, label, saved
from pilothouse.reports.files import write_json
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore, versions
from pilothouse.reports.tables import markdown_table
from pilothouse.training.config import resolve
from pilothouse.training.loop import Trainer
from step_work import HashReward, now

BASE = {"prompts": 8, "length": 32, "group": 4}
AXES = {"prompts": (4, 8, 16, 32, 64), "length": (8, 16, 32, 64, 128, 256), "group": (2, 4, 8, 16, 32)}
NAMES = {"prompts": "prompts", "length": "response length, tokens", "group": "group size"}
MEASURES = {"seconds": "seconds a step", "processor": "processor seconds", "mib": "peak memory, MiB"}

Curves = Mapping[str, list[dict[str, Any]]]


class Sums(HashReward):
    """Prompts that take no time to make, all of one length."""

    def problems(self, split: str) -> list[Problem]:
        """Return 100 problems."""
        return [Problem(f"{split}-{i}", f"calculate {100 + i}+{999 - i}=") for i in range(100)]


def trainer(policy: CausalPolicy, work: Mapping[str, int], folder: Path) -> Trainer:
    """Return what takes steps of so many prompts, group and length."""
    layer = {
        "task": {"name": "gsm8k-calc", "data": "generated"},
        "program": {"n": work["group"], "sampling": {"max_tokens": work["length"]}},
        "training": {"prompts": work["prompts"], "learning_rate": 1e-4},
    }
    config = resolve("grpo", find_method("grpo").policy_gradient, layer)
    config = config.model_copy(update={"task": Sums()})
    return Trainer(config, policy, RunStore.create(folder, "grpo", "hash"), Progress())


def measure(work: Mapping[str, int], size: str) -> dict[str, float]:
    """Return seconds and processor seconds of a step, and the memory that steps of this size take, in MiB.

    Raises:
        RuntimeError: the step was of another size.
    """
    shape = SIZES[size].model_copy(update={"context": 1024})
    policy = tiny_policy(Sums.character_set, 0, shape)
    policy.eos_ids = frozenset()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # what any step loads and makes once is no part of the growth
        trainer(policy, {"prompts": 1, "group": 2, "length": 4}, folder / "small").step(0)
        steps = trainer(policy, work, folder / "run")
        before = resident_mib()
        steps.step(0)
        started = now()
        row = steps.step(1)
        ended = now()
        peak = highest_mib()
    tokens = round(row["length"] * row["episodes"])
    if tokens != work["prompts"] * work["group"] * work["length"] or row["rows_computed"] != row["episodes"]:
        raise RuntimeError(
            f"a step of {work} learnt from {row['rows_computed']:.0f} responses of {tokens} tokens in all"
        )
    return {"seconds": ended[0] - started[0], "processor": ended[1] - started[1], "mib": peak - before}


def highest_mib() -> float:
    """Return the highest resident memory of this process so far, in MiB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def apart(work: Mapping[str, int], size: str) -> dict[str, float]:
    """Return ``measure`` in a process of its own, which has everything imported from the start.

    Raises:
        RuntimeError: it failed; its own message is above.
    """
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=lambda: there.send(measure(work, size)))
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        raise RuntimeError(f"the step of {work} failed") from None
    finally:
        process.join()


def curves(
    rounds: int,
    size: str,
    axes: Mapping[str, Sequence[int]],
    take: Callable[[Mapping[str, int], str], dict[str, float]],
) -> Curves:
    """Return every point of every curve with what each round measured."""
    found = {axis: [{"at": at, **{name: [] for name in MEASURES}} for at in axes[axis]] for axis in axes}
    for turn in range(rounds):
        for axis, points in found.items():
            for point in points:
                for name, value in take({**BASE, axis: point["at"]}, size).items():
                    point[name].append(value)
            print(f"round {turn + 1}: {axis}", flush=True)
    return found


def exponent(points: Sequence[Mapping[str, Any]], name: str) -> float:
    """Return the slope of the medians on logarithmic axes."""
    x = np.log([point["at"] for point in points])
    return float(np.polyfit(x, np.log([statistics.median(point[name]) for point in points]), 1)[0])


def table(found: Curves) -> str:
    """Return the curves as Markdown: medians with the least and the most, and exponents."""
    rows: list[list[str]] = []
    for axis, points in found.items():
        for point in points:
            work = {**BASE, axis: point["at"]}
            tokens = work["prompts"] * work["group"] * work["length"]
            cells = [_spread(point[name], ".3g" if name != "mib" else ".0f") for name in MEASURES]
            rows.append([f"{NAMES[axis]} {point['at']}", f"{tokens:,}", *cells])
        rows.append(["**exponent**", "", *(f"**{exponent(points, name):.2f}**" for name in MEASURES)])
    return markdown_table(("step", "tokens", *MEASURES.values()), rows)


def _spread(values: Sequence[float], form: str) -> str:
    return f"{statistics.median(values):{form}} [{min(values):{form}}, {max(values):{form}}]"


def figure(found: Curves, stem: Path) -> Path:
    """Draw processor seconds and memory along each axis, with the fitted exponents."""
    drawn = drawing(3.6 * len(found), 6.0, "One training step")
    grid = np.array(drawn.subplots(2, len(found))).reshape(2, len(found))
    for column, (axis, points) in enumerate(found.items()):
        at = [point["at"] for point in points]
        for axes, name in zip(grid[:, column], ("processor", "mib"), strict=True):
            middle = [statistics.median(point[name]) for point in points]
            ends = [[min(point[name]) for point in points], [max(point[name]) for point in points]]
            axes.vlines(at, *ends, color=BLUE, alpha=0.4, linewidth=4)
            axes.plot(at, middle, "o-", color=BLUE, markersize=4)
            axes.set_xscale("log", base=2)
            axes.set_yscale("log")
            axes.set_xticks(at, [str(x) for x in at])
            label(axes, f"exponent {exponent(points, name):.2f}", MEASURES[name] if column == 0 else "")
        grid[1, column].set_xlabel(NAMES[axis], fontsize=11)
    return saved(drawn, stem)


def main() -> None:
    """Measure, print the table, keep JSON and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", default="1m", choices=SIZES)
    parser.add_argument("--points", type=int, default=0, help="of each curve, the first so many; 0 takes all")
    parser.add_argument("--out", type=Path, default=Path("."), help="folder for growth.json and growth.png")
    given = parser.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    axes = {axis: values[: given.points or None] for axis, values in AXES.items()}
    found = curves(given.rounds, given.size, axes, apart)
    exponents = {axis: {name: exponent(points, name) for name in MEASURES} for axis, points in found.items()}
    facts = {"base": BASE, "size": given.size, "threads": os.environ.get("OMP_NUM_THREADS"), "versions": versions()}
    write_json(given.out / "growth.json", {**facts, "curves": found, "exponents": exponents})
    figure(found, given.out / "growth")
    print(table(found))


if __name__ == "__main__":
    main()
