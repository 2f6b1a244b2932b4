"""``pilothouse train`` and ``pilothouse ablate``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter
from rich.console import Console

from pilothouse.cli.app import Json, Settings, app, emit, plain_output
from pilothouse.core.errors import ConfigError

WHAT = Group("What to train, on what", sort_key=1)
SIZE = Group("How much of it", sort_key=2)
PARTS = Group("Other parts than the method's own", sort_key=3)
RUN = Group("The run", sort_key=4)

TRAIN_HELP = """Train a policy with a method; ends with a table, a figure and the run's folder.

Every setting is an option of its own, by its place in the configuration, such
as --training.learning_rate 1e-4, --credit.eps 0, --policy.lora.r 8 or
--program.sampling.temperature 0.8; 'pilothouse methods NAME' prints all of a
method's with their defaults.
"""
TRAIN_EXAMPLES = """Examples:

  A tiny policy, made ready here, on a laptop:
    pilothouse train grpo --task gsm8k-calc
  Your data, your reward function (score(response, answer) in my_module.py),
  any causal language model, a low-rank adapter instead of all weights:
    pilothouse train lite-ppo --task jsonl --data my.jsonl \\
      --reward my_module:score --model Qwen/Qwen3-0.6B --lora
  Other parts:
    pilothouse train grpo --task gsm8k-calc --credit "0.5*grpo + 0.5*rloo" \\
      --objective "clipped + 0.05*kl" --select "zero-variance + overlong"
  A policy that acts, from a scripted expert's episodes:
    pilothouse train diffusion-policy --task pick-lift
  Go on after an interruption, or further than planned:
    pilothouse train --resume runs/RUN --steps 200
"""


@app.command(help=TRAIN_HELP, help_epilogue=TRAIN_EXAMPLES)
def train(
    method: Annotated[str, Parameter(allow_leading_hyphen=True)] = "",
    /,
    *overrides: Settings,
    task: Annotated[str | None, Parameter(group=WHAT)] = None,
    data: Annotated[str | None, Parameter(group=WHAT)] = None,
    reward: Annotated[str | None, Parameter(group=WHAT)] = None,
    model: Annotated[str | None, Parameter(group=WHAT)] = None,
    lora: Annotated[bool, Parameter(group=WHAT)] = False,
    steps: Annotated[int | None, Parameter(group=SIZE)] = None,
    prompts: Annotated[int | None, Parameter(group=SIZE)] = None,
    group: Annotated[int | None, Parameter(group=SIZE)] = None,
    program: Annotated[str | None, Parameter(group=PARTS)] = None,
    select: Annotated[str | None, Parameter(group=PARTS)] = None,
    credit: Annotated[str | None, Parameter(group=PARTS)] = None,
    objective: Annotated[str | None, Parameter(group=PARTS)] = None,
    scorer: Annotated[str | None, Parameter(group=PARTS)] = None,
    config: Annotated[Path | None, Parameter(group=RUN)] = None,
    seed: Annotated[int | None, Parameter(group=RUN)] = None,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    resume: Annotated[Path | None, Parameter(group=RUN)] = None,
    as_json: Annotated[Json, Parameter(group=RUN)] = False,
) -> None:
    """Train a policy with a method.

    Args:
        method: Which method; 'pilothouse methods' lists them.
        overrides: Any other setting, as --name.of.setting VALUE.
        task: Where problems come from; 'pilothouse tasks' lists them.
        data: Path of the task's data, or a hub id.
        reward: Python reward function as module:function, for --task jsonl.
        model: Folder or hub id of a causal language model; without it, a tiny character model is made ready here.
        lora: Train a low-rank adapter instead of all weights.
        steps: Training steps.
        prompts: Problems attempted at each step.
        group: Attempts at each problem.
        program: How a problem is attempted.
        select: Which episodes and tokens train; 'a + b' applies both.
        credit: What each token weighs; '0.5*grpo + 0.5*rloo' mixes.
        objective: The loss; 'clipped + 0.01*kl' adds terms.
        scorer: What judges partial responses, for programs that search with a process reward.
        config: TOML file laid over the method's settings, such as a run's own; options on the command line win.
        seed: Root of the run's seed tree.
        out: Folder to make for the run; by default runs/METHOD-TASK-TIME.
        resume: Folder of a run to continue exactly where its newest whole checkpoint left it; takes --steps only.
        as_json: Print the result as one JSON document on standard output.
    """
    from pilothouse.methods.base import configured
    from pilothouse.reports.progress import make_progress
    from pilothouse.reports.tables import print_result
    from pilothouse.training import run as runs
    from pilothouse.training.config import nested, read_overrides

    if method.startswith("--"):  # the method's name comes from --config or --resume
        method, overrides = "", (method, *overrides)
    short = {
        "task": task,
        "task.data": data,
        "task.reward": reward,
        "policy.model": model,
        "policy.lora": {} if lora else None,
        "training.prompts": prompts,
        "program.n": group,
        "program": program,
        "select": select,
        "credit": credit,
        "objective": objective,
        "scorer": scorer,
        "seed": seed,
    }
    given = [(key, value) for key, value in short.items() if value is not None] + read_overrides(overrides)
    with plain_output(as_json):
        if resume is not None:
            _refuse_changes([key for key, _ in given], config, out)
            finished = runs.resume(resume, steps, make_progress(), method)
        else:
            given += [("training.steps", steps)] if steps is not None else []
            finished = runs.train(configured(method, config, nested(given)), out, make_progress())
    if as_json:
        emit({"run": str(finished.store.path), **finished.result})
    else:
        print_result(finished.result, finished.store.path, Console())


def _refuse_changes(keys: Sequence[str], config: Path | None, out: Path | None) -> None:
    changes = [f"--{key}" for key in keys] + [f for f, v in (("--config", config), ("--out", out)) if v]
    if changes:
        raise ConfigError(
            f"--resume continues a run exactly as it was configured: drop {changes[0]}, or start a new run"
        )


@app.command
def ablate(
    method: str,
    /,
    *overrides: Settings,
    switch: str,
    values: str,
    task: str | None = None,
    data: str | None = None,
    reward: str | None = None,
    model: str | None = None,
    steps: int | None = None,
    seed: int | None = None,
    seeds: int = 3,
    config: Path | None = None,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Train a method with one setting varied, over paired seeds, and compare what each value did on your data.

    Called again with the same arguments it continues: finished runs are read back.

    Args:
        method: Which method; 'pilothouse methods' lists them.
        overrides: Any other setting, as --name.of.setting VALUE.
        switch: The setting to vary, such as credit, credit.std, objective.aggregation or select.
        values: What to set it to, separated by commas.
        task: Where problems come from; 'pilothouse tasks' lists them.
        data: Path of the task's data, or a hub id.
        reward: Python reward function as module:function, for --task jsonl.
        model: Folder or hub id of a causal language model; without it, a tiny character model is made ready here.
        steps: Rollout-and-update steps of every run.
        seed: The first seed.
        seeds: Runs a value, with consecutive seeds; 3 unless told.
        config: TOML file laid over the method's settings; options on the command line win.
        out: Folder that keeps every run; by default runs/ablate-METHOD-SWITCH.
        as_json: Print the table as one JSON document on standard output.
    """
    from pilothouse.methods.base import configured_language
    from pilothouse.reports.progress import make_progress
    from pilothouse.reports.tables import print_ablation
    from pilothouse.training import ablate as ablation
    from pilothouse.training.config import nested, read_overrides, read_value

    short = {
        "task": task,
        "task.data": data,
        "task.reward": reward,
        "policy.model": model,
        "training.steps": steps,
        "seed": seed,
    }
    pairs = [(key, value) for key, value in short.items() if value is not None] + read_overrides(overrides)
    with plain_output(as_json):
        found = ablation.ablate(
            configured_language(method, config, nested(pairs)),
            switch.replace("-", "_"),
            [read_value(value.strip()) for value in values.split(",")],
            seeds=seeds,
            out=out or Path("runs") / f"ablate-{method}-{switch}",
            progress=make_progress(),
        )
    if as_json:
        emit(found.to_dict())
    else:
        print_ablation(found.to_dict(), Console())
