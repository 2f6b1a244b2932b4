"""``pilothouse compare``."""

from __future__ import annotations

import shlex
from itertools import takewhile
from pathlib import Path
from typing import Any

from rich.console import Console

from pilothouse.cli.app import Json, Settings, app, emit, line, plain_output

COMPARE_EXAMPLES = """Examples:

  The same data, seeds and tokens for two methods, the tiny policy:
    pilothouse compare grpo lite-ppo --task gsm8k-calc --data path/to/gsm8k \\
      --seeds 5 --budget 500k-tokens
  Several tasks, more methods, a setting that all share:
    pilothouse compare grpo dr-grpo rloo --task chain-arithmetic,sorting \\
      --steps 60 --training.prompts 32
  A method with itself at another setting (several between commas):
    pilothouse compare grpo grpo:credit.std=none --task chain-arithmetic
  Policies that act, learners from logged data; --seeds can grow later:
    pilothouse compare diffusion-policy rti-dp ebt-policy --task reach
    pilothouse compare td3-bc iql --task drift --budget 50-steps

Interrupted, it continues when called again with the same arguments.
"""


@app.command(help_epilogue=COMPARE_EXAMPLES)
def compare(
    *names: Settings,
    task: str,
    seeds: int = 3,
    budget: str = "",
    steps: int | None = None,
    data: str | None = None,
    reward: str | None = None,
    model: str | None = None,
    prompts: int | None = None,
    group: int | None = None,
    seed: int | None = None,
    jobs: int = 0,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Train methods on the same problems in the same order with the same seeds at the same cost, and compare them.

    Ends with a table, comparison.json, figures and report.html, a page that needs no network.

    Args:
        names: The methods, the one to compare with first, each with settings of its own if wanted
            (grpo:credit.std=none); then any setting for all of them, as --name.of.setting VALUE.
        task: Where problems come from; several between commas.
        seeds: Runs of each method on each task, 3 unless told.
        budget: What a run may spend: 500k-tokens computed in sampling, or 600-steps of training for what acts.
        steps: Training steps of every run, instead of a budget.
        data: Path of the task's data, or a hub id.
        reward: Python reward function as module:function, for --task jsonl.
        model: Folder or hub id of a causal language model; without it, a tiny character model is made ready here.
        prompts: Problems attempted at each step.
        group: Attempts at each problem.
        seed: The first seed.
        jobs: Runs at a time, each with its share of the processors; 0, the default, takes one a processor.
        out: Folder that keeps everything; by default runs/compare-METHODS-TASKS and a hash of the settings.
        as_json: Print the comparison as one JSON document on standard output.
    """
    from pilothouse.methods.comparing import Plan, folder_name
    from pilothouse.methods.comparing import compare as run
    from pilothouse.reports.comparison import print_comparison
    from pilothouse.reports.progress import make_progress
    from pilothouse.training.config import nested, read_overrides

    methods = list(takewhile(lambda name: not name.startswith("--"), names))
    short: dict[str, Any] = {
        "task.data": data,
        "task.reward": reward,
        "policy.model": model,
        "training.prompts": prompts,
        "training.steps": steps,
        "program.n": group,
        "seed": seed,
    }
    pairs = [(key, value) for key, value in short.items() if value is not None] + read_overrides(names[len(methods) :])
    tasks = [name.strip() for name in task.split(",")]
    given: dict[str, Any] = {"task": task, "seeds": seeds, **({"budget": budget} if budget else {})}
    options = [f"--{key} {shlex.quote(str(value))}" for key, value in [*given.items(), *pairs]]
    with plain_output(as_json):
        plan = Plan(methods, tasks, seeds, budget, nested(pairs))
        folder = out or Path("runs") / folder_name(plan)
        command = " ".join(["pilothouse compare", *map(shlex.quote, methods), *options])
        found = run(plan, folder, jobs, command, make_progress())
    if as_json:
        emit({"folder": str(folder), **found.to_dict()})
        return
    print_comparison(found, Console())
    line(f"report  {folder / 'report.html'}")
