"""Comparing methods from their names: runs, figures, a table and one page in a folder."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured_language
from pilothouse.reports.comparison import Comparison, compare_outcomes, draw_comparison
from pilothouse.reports.comparison_page import write_page
from pilothouse.reports.files import write_json
from pilothouse.reports.progress import Progress
from pilothouse.training.compare import grid, outcome, run_all
from pilothouse.training.config import RunConfig, overlay

#: A budget ends a run; this only keeps it from going on for ever.
MOST_STEPS = 100_000
EVALUATIONS_EVERY = 10


@dataclass(frozen=True)
class Plan:
    """What is to be compared.

    Args:
        methods: names, the one that the others are compared with first.
        tasks: names.
        seeds: how many, counted from ``table``'s seed.
        budget: tokens that sampling may compute in a run, such as "200k-tokens"; empty takes ``table``'s steps.
        table: settings laid over every method's own.
    """

    methods: Sequence[str]
    tasks: Sequence[str]
    seeds: int
    budget: str
    table: Mapping[str, Any]

    def configured(self, method: str, task: str, seed: int) -> RunConfig:
        """Return the configuration of one run."""
        own: dict[str, Any] = {"training": {"eval_every": EVALUATIONS_EVERY}}
        if self.budget:
            own["training"] |= {"budget": self.budget, "steps": MOST_STEPS}
        named = {**self.table, "task": {"name": task, **self.table.get("task", {})}, "seed": seed}
        return configured_language(method, None, overlay(own, named))

    @property
    def words(self) -> str:
        """The budget in words."""
        if self.budget:
            return f"{Budget.parse(self.budget).amount:,} tokens computed in sampling"
        steps = self.table.get("training", {}).get("steps")
        return f"{steps} steps" if steps else "each method's own number of steps"


def compare(plan: Plan, out: Path, jobs: int, command: str, progress: Progress) -> Comparison:
    """Run a comparison, or what is left of it, and leave ``comparison.json``, figures and ``report.html`` in ``out``.

    Args:
        plan: what is compared.
        out: keeps everything; the same plan in the same folder continues.
        jobs: runs at a time; 0 takes one a processor.
        command: what the page says it was made with.
        progress: shows what happens.

    Raises:
        ConfigError: there are too few methods or seeds, or a setting is refused; nothing has run then.
        RunError: a run failed; those that finished are kept.
    """
    if plan.seeds < 1:
        raise ConfigError("a comparison needs one seed at least, and three to tell a difference: give --seeds 3")
    if plan.budget and "steps" in plan.table.get("training", {}):
        raise ConfigError("a run ends after --steps or when its --budget is spent: give one of the two")
    if jobs < 0:
        raise ConfigError(f"--jobs counts runs at a time and is {jobs}: give 1 or more, or 0 for one a processor")
    first = int(plan.table.get("seed", 0))
    seeds = range(first, first + plan.seeds)
    entries = grid(plan.configured, plan.methods, plan.tasks, seeds, out)
    run_all(entries, jobs or os.cpu_count() or 1, progress)
    outcomes = [outcome(entry) for entry in entries]
    node = SeedTree(first) / "comparison"
    found = compare_outcomes(outcomes, plan.words, (node / "table").numpy())
    figures = draw_comparison(found, outcomes, out / "figures", (node / "figures").numpy())
    runs = [{key: one[key] for key in ("method", "task", "seed", "folder", "result", "curve")} for one in outcomes]
    write_json(out / "comparison.json", {**found.to_dict(), "command": command, "runs": runs})
    write_page(found, outcomes, figures, command, out / "report.html")
    return found
