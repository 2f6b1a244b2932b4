"""``pilothouse search``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from pilothouse.cli.app import Json, Settings, app, emit, line, plain_output

if TYPE_CHECKING:
    from pilothouse.core.budgets import Budget

SEARCH_EXAMPLES = """Examples:

  A particle filter over the tiny policy, guided by a noisy step checker:
    pilothouse search particle-scaling --task chain-arithmetic --scorer noisy-steps
  Accuracy against cost:
    pilothouse search best-of-n --task gsm8k-calc --model runs/RUN \\
      --program.select majority --budget 1,4,16
  A budget in sampled tokens a problem, never overspent:
    pilothouse search treepo --task check-chain --budget 4096-tokens
"""


@app.command(help_epilogue=SEARCH_EXAMPLES)
def search(
    method: str,
    /,
    *overrides: Settings,
    task: str | None = None,
    data: str | None = None,
    reward: str | None = None,
    model: str = "tiny",
    budget: str = "",
    scorer: str | None = None,
    n: int = 64,
    seed: int = 0,
    out: Path | None = None,
    as_json: Json = False,
) -> None:
    """Search for answers to held-out problems: accuracy with an interval, what it cost, and a picture of the search.

    Args:
        method: A method, or a program by its own name; 'pilothouse methods' lists the methods.
        overrides: Any setting of the program, the scorer, the task or the policy, as --program.name VALUE.
        task: Where problems come from; by default the task that the run in --model was trained on.
        data: Path of the task's data, or a hub id.
        reward: Python reward function as module:function, for --task jsonl.
        model: A run's folder, a model's folder, or a hub id; by default a tiny character model made ready here.
        budget: What a problem may cost, such as 16-samples or 4096-tokens; several between commas draw a curve.
        scorer: What judges partial responses: exact-steps, noisy-steps, verifier, value-head or module:Class.
        n: Held-out problems, 64 unless told.
        seed: Seed of the choice of problems and of sampling.
        out: Folder for figures, traces and pictures; by default runs/search-METHOD-TASK-TIME.
        as_json: Print the figures as one JSON document on standard output.
    """
    from pilothouse.core.budgets import Budget
    from pilothouse.methods.searches import run_search, searching
    from pilothouse.reports.progress import make_progress
    from pilothouse.training.config import nested, read_overrides

    budgets: list[Budget | None] = [Budget.parse(text) for text in budget.split(",")] if budget else [None]
    short = {"task": task, "task.data": data, "task.reward": reward, "scorer": scorer}
    table = nested([(k, v) for k, v in short.items() if v is not None] + read_overrides(overrides))
    with plain_output(as_json):
        found = run_search(searching(method, table), model, budgets, n, seed, out, make_progress())
    if as_json:
        emit(found)
    else:
        _print(found, Console())


def _print(found: dict[str, Any], console: Console) -> None:
    from rich.table import Table

    table = Table("budget", "accuracy", "95 % interval", "tokens sampled", "computed", "reused", "seconds", box=None)
    for row in found["budgets"]:
        each = row["per_problem"]
        figures = [f"{each[unit]:,.0f}" for unit in ("tokens_sampled", "tokens_computed", "tokens_reused")]
        interval = f"{row['low']:.1%} to {row['high']:.1%}"
        table.add_row(row["budget"] or "own", f"{row['accuracy']:.1%}", interval, *figures, f"{each['seconds']:.3f}")
    problems = found["budgets"][-1]["problems"]
    console.print(f"{found['program']} on {found['task']}, {problems} held-out problems; costs are a problem's mean")
    console.print(table)
    for row in found["budgets"]:
        for note, count in row["notes"].items():
            console.print(f"note, on {count} of {row['problems']} problems: {note}", markup=False, highlight=False)
    example = found["example"]
    line(f"\nfor example {example['prompt']!r}, answered {'rightly' if example['correct'] else 'wrongly'}:")
    for step in example["path"]:
        line(f"  {step}")
    if rows := (found.get("report") or [{}])[0].get("rows"):
        _report(rows, console)
    line(f"\npicture {found['picture']}\nall of it in {found['path']}")


def _report(rows: list[dict[str, Any]], console: Console) -> None:
    """Print what the method reads off the example's trace, a row a line."""
    from rich.table import Table

    table = Table(*rows[0], box=None)
    for row in rows:
        table.add_row(*(f"{cell:.3f}" if isinstance(cell, float) else str(cell) for cell in row.values()))
    line("")
    console.print(table, markup=False)
