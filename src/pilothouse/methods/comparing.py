"""Comparing methods from their names: runs, figures, a table and one page in a folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured
from pilothouse.methods.contestants import Contestant, contestants
from pilothouse.reports.comparison import Comparison, compare_outcomes
from pilothouse.reports.comparison_figures import draw_comparison
from pilothouse.reports.comparison_page import write_page
from pilothouse.reports.files import dumps, path_name, read_json, write_json
from pilothouse.reports.progress import Progress
from pilothouse.training.compare import grid, outcome, run_all
from pilothouse.training.config import RunSettings, overlay

_PLAN = "plan.json"


@dataclass(frozen=True)
class Plan:
    """What is to be compared.

    Args:
        methods: names, the one that the others are compared with first; each may have settings of its own (see
            ``Contestant.parse``).
        tasks: names.
        seeds: how many, counted from ``table``'s seed.
        budget: what a run may spend, in the unit of its kind: tokens that sampling may compute, such as
            "200k-tokens", or training steps of what acts, such as "600-steps"; empty takes ``table``'s steps.
        table: settings laid over every method's own.
    """

    methods: Sequence[str]
    tasks: Sequence[str]
    seeds: int
    budget: str
    table: Mapping[str, Any]

    @property
    def first_seed(self) -> int:
        """The seed of the first run."""
        return int(self.table.get("seed", 0))

    @cached_property
    def contestants(self) -> dict[str, Contestant]:
        """The methods by what the comparison calls them."""
        return contestants(self.methods)

    def configured(self, label: str, task: str, seed: int) -> RunSettings:
        """Return the configuration of one run.

        Args:
            label: what the comparison calls its method.
            task: the task's name.
            seed: the run's.

        Raises:
            ConfigError: a setting is refused.
        """
        one = self.contestants[label]
        referee = one.kind.referee()
        own = {"training": referee.allowance(self.budget) if self.budget else {}}
        given = {**self.table, "task": {"name": task, **self.table.get("task", {})}, "seed": seed}
        table = overlay(overlay(own, given), one.settings)
        pace = {"training": {"eval_every": referee.pace(configured(one.method, None, table))}}
        return configured(one.method, None, overlay(pace, table))

    def check(self) -> None:
        """Refuse what cannot be compared.

        Raises:
            ConfigError: the message says why and what would work.
        """
        if self.seeds < 1:
            raise ConfigError("a comparison needs one seed at least, and three to tell a difference: give --seeds 3")
        tables = [self.table, *(one.settings for one in self.contestants.values())]
        if self.budget and any(table.get("training", {}).keys() & {"steps", "budget"} for table in tables):
            raise ConfigError("a run ends after its steps or when its --budget is spent: give one of the two")

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        seeds = list(range(self.first_seed, self.first_seed + self.seeds))
        names = {"methods": list(self.methods), "tasks": list(self.tasks), "seeds": seeds}
        return {**names, "budget": self.budget, "settings": {k: v for k, v in self.table.items() if k != "seed"}}


def folder_name(plan: Plan) -> str:
    """Return the name of the folder that a plan takes by default; more seeds go to the same."""
    facts = {key: value for key, value in plan.to_dict().items() if key != "seeds"}
    hashed = hashlib.sha256(dumps(facts).encode()).hexdigest()[:8]
    return f"{path_name('-'.join(['compare', *plan.methods, *plan.tasks]))}-{hashed}"


def compare(plan: Plan, out: Path, jobs: int, command: str, progress: Progress) -> Comparison:
    """Run a comparison, or what is left of it, and leave ``comparison.json``, figures and ``report.html`` in ``out``.

    Args:
        plan: what is compared.
        out: keeps everything; the same plan in the same folder continues, also with more methods, tasks or seeds.
        jobs: runs at a time; 0 takes one a processor.
        command: what the page says it was made with.
        progress: shows what happens.

    Raises:
        ConfigError: there are too few methods or seeds, or a setting is refused; nothing has run then.
        RunError: ``out`` keeps something else, or a run failed; those that finished are kept.
    """
    plan.check()
    if jobs < 0:
        raise ConfigError(f"--jobs counts runs at a time and is {jobs}: give 1 or more, or 0 for one a processor")
    entries = grid(plan.configured, plan.methods, plan.tasks, plan.to_dict()["seeds"], out)
    words = _spent([entry.config for entry in entries], plan)
    _take_folder(plan, out)
    run_all(entries, jobs, out, progress)
    outcomes = [outcome(entry) for entry in entries]
    if len({dumps(one.config.get("versions")) for one in outcomes}) > 1:
        progress.warn("not all runs were made with the same versions; the page lists each run's")
    node = SeedTree(plan.first_seed) / "comparison"
    found = compare_outcomes(outcomes, words, (node / "table").numpy())
    figures = draw_comparison(found, outcomes, out / "figures", (node / "figures").numpy())
    runs = [one.to_dict() for one in outcomes]
    write_json(out / "comparison.json", {**found.to_dict(), "command": command, "runs": runs})
    write_page(found, outcomes, figures, command, out / "report.html")
    return found


def _spent(configs: Sequence[RunSettings], plan: Plan) -> str:
    """What each run may spend, in words; all runs are compared by one figure.

    Raises:
        ConfigError: tasks have no common figure, or one budget means different things.
    """
    referee = configs[0].referee()
    metrics = {referee.metric(config): config.task_title for config in configs}
    several = len(plan.tasks) > 1
    if several and (len(metrics) > 1 or not next(iter(metrics)).share):
        what = " and ".join(f"{metric.name} ({title})" for metric, title in metrics.items())
        raise ConfigError(f"the tasks measure {what}, which have no scale in common: compare on one task at a time")
    words = {referee.spends(config): config.method for config in configs}
    if len(words) == 1:
        return next(iter(words))
    if plan.budget:
        what = " and ".join(f"{said} for {method}" for said, method in words.items())
        raise ConfigError(
            f"{plan.budget} would be {what}: set what a step is alike for all, such as --training.batches"
        )
    return "each method's own number of steps"


def _take_folder(plan: Plan, out: Path) -> None:
    """Note the plan in the folder, unless it keeps something else.

    Raises:
        RunError: it does.
    """
    mine, path = plan.to_dict(), out / _PLAN
    if path.is_file():
        kept = read_json(path)
        grown = all(set(kept.get(name, ())) <= set(mine[name]) for name in ("methods", "tasks", "seeds"))
        if not grown or any(kept.get(name) != mine[name] for name in ("budget", "settings")):
            methods, tasks = (", ".join(kept.get(name, ())) for name in ("methods", "tasks"))
            raise ConfigError(
                f"{out} keeps another comparison ({methods} on {tasks}): give --out another folder, or repeat its "
                "arguments to go on with it"
            )
    elif out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not empty and keeps no comparison: give --out another folder")
    write_json(path, mine)
