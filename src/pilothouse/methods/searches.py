"""Running a search from start to end: the program a name stands for, its figures, traces and pictures in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.budgets import Budget
from pilothouse.core.errors import ConfigError, nearest
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.methods.base import language_methods
from pilothouse.programs.base import Program
from pilothouse.programs.trace import Trace
from pilothouse.reports.figures import lines_figure
from pilothouse.reports.files import append_rows
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.trees import chosen_path, tree_figure
from pilothouse.tasks.scorer import ExactSteps, Scorer
from pilothouse.training.collect import Attempt
from pilothouse.training.config import overlay
from pilothouse.training.evaluate import held_out
from pilothouse.training.scoring import check_scorer, scored_runner
from pilothouse.training.search import Search, Searched
from pilothouse.training.sources import Source

_TABLES = ("program", "scorer", "task", "policy")


@dataclass(frozen=True)
class Searching:
    """What a search's name and settings come to.

    Args:
        name: as the user gave it.
        program: the search.
        scorer: judges partial responses, if the program asks.
        task: the task's table as far as it was given.
        policy: settings of the policy as far as they were given.
    """

    name: str
    program: Program
    scorer: Scorer
    task: Mapping[str, Any]
    policy: Mapping[str, Any]


def searching(name: str, table: Mapping[str, Any]) -> Searching:
    """Return what a method's or a program's name stands for, with settings laid over its own.

    Args:
        name: a method, or a program of the catalogue, or ``module:Class``.
        table: any of the tables "program", "scorer", "task" and "policy".

    Raises:
        ConfigError: the name, a table or a setting is unknown.
    """
    for key in table:
        if key not in _TABLES:
            raise ConfigError(f"unknown setting '{key}' of a search{nearest(key, _TABLES)}")
    known = language_methods()
    if name in known:
        program, scorer = known[name].program, known[name].scorer
    elif name in Program.catalogue.classes() or ":" in name:
        program, scorer = Program.build(name), ExactSteps()
    else:
        raise ConfigError(f"unknown method or program '{name}'{nearest(name, {*known, *Program.catalogue.classes()})}")
    own = {"program": program.model_dump(mode="json"), "scorer": scorer.model_dump(mode="json")}
    merged = overlay(own, {key: table[key] for key in ("program", "scorer") if key in table})
    task = {"task": table["task"]} if "task" in table else {}
    program, scorer = Program.build(merged["program"]), Scorer.build(merged["scorer"])
    return Searching(name, program, scorer, task, table.get("policy", {}))


def run_search(
    what: Searching,
    model: str,
    budgets: Sequence[Budget | None],
    n: int,
    seed: int,
    out: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Search at each budget and leave a folder: config.toml, result.json, traces.jsonl, pictures.

    Args:
        what: the search.
        model: a run's folder, a model's folder, a hub id, or "tiny".
        budgets: what a problem may cost; ``None`` is the program's own width.
        n: held-out problems.
        seed: root of the choice of problems and of sampling.
        out: the folder to make; by default one named after method, task and time under ``runs``.
        progress: shows what happens.

    Raises:
        ConfigError: a budget, the scorer or the model does not fit; nothing was sampled then.
        RunError: the folder cannot be written.
    """
    if n < 1:
        raise ConfigError(f"--n counts from 1, not {n}: give at least one problem")
    source = Source.find(model)
    task = source.task(what.task)
    check_scorer(what.program.needs_scorer(), what.program.name, what.scorer, task)
    sized = [what.program if b is None else what.program.sized(b.samples(_limit(what.program, task))) for b in budgets]
    wants_head = what.program.needs_scorer() and what.scorer.of_policy
    policy = source.policy(task, progress, what.policy, value_head=wants_head)
    store = RunStore.create(out, f"search-{what.name.replace(':', '-')}", task.name)
    shown = {"task": task, "program": what.program, "scorer": what.scorer}
    store.write_config(
        {"search": what.name, "model": source.path, "seed": seed, "n": n}
        | {"budgets": [str(b or "") for b in budgets]}
        | {key: part.model_dump(mode="json") for key, part in shown.items()}
    )
    seeds = SeedTree(seed) / "evaluation"
    problems = held_out(task, n, seeds / "problems")
    runner = scored_runner(LocalEngine(policy), what.scorer, task)
    rows: list[Searched] = []
    attempts: list[Attempt] = []
    for budget, program in zip(budgets, sized, strict=True):
        found = Search(runner, program, policy, task, seeds / "samples")
        for wave in found.waves(problems, progress, f"{program.name} {budget or ''}".strip()):
            append_rows(store.path / "traces.jsonl", (_record(str(budget or ""), a) for a in wave))
        rows.append(found.searched(str(budget or "")))
        attempts = found.attempts
    return _finish(store, what, task.name, rows, attempts, seeds)


def _limit(program: Program, task: Any) -> int:
    sampling: Any = getattr(program, "sampling", None)
    return getattr(sampling, "max_tokens", 0) or task.limit


def _record(budget: str, found: Attempt) -> dict[str, Any]:
    return {
        "budget": budget,
        "problem": found.problem.id,
        "prompt": str(found.problem.prompt),
        "answer": found.result.answer,
        "correct": found.score.correct,
        "reward": found.score.reward,
        "status": str(found.score.status),
        "cost": found.result.cost.to_dict(),
        "trace": found.result.trace,
    }


def _finish(
    store: RunStore,
    what: Searching,
    task: str,
    rows: Sequence[Searched],
    attempts: Sequence[Attempt],
    seeds: SeedTree,
) -> dict[str, Any]:
    """Draw the first problem's search and, over several budgets, accuracy against cost; write ``result.json``.

    A method that reads something off its traces adds a table for every problem of the last budget.
    """
    example = attempts[0]
    trace = example.result.trace or {"kind": what.program.name, "nodes": _leaves(example)}
    prompt, answer = str(example.problem.prompt), example.result.answer
    picture = tree_figure(trace, store.path / "figures" / "search.svg", prompt=prompt, answer=answer)
    result: dict[str, Any] = {
        "path": str(store.path),
        "method": what.name,
        "program": what.program.name,
        "task": task,
        "budgets": [row.to_dict() for row in rows],
        "picture": str(picture),
        "example": {
            "prompt": prompt,
            "answer": answer,
            "correct": example.score.correct,
            "path": chosen_path(trace) or [answer],
        },
    }
    if len(rows) > 1:
        curve = lines_figure(
            {what.program.name: [row.accuracy for row in rows]},
            [row.cost.tokens_sampled / row.problems for row in rows],
            store.path / "figures" / "accuracy",
            x_label="tokens sampled a problem",
            y_label="held-out accuracy",
            title=f"{what.name} on {task}",
        )
        result["figure"] = str(curve)
    method = language_methods().get(what.name)
    if method is not None and method.report is not None:
        result["report"] = [
            {"problem": found.problem.id, "rows": method.report(found.result.trace, seeds / "report" / at)}
            for at, found in enumerate(attempts)
        ]
    store.write_result(result)
    return result


def _leaves(found: Attempt) -> list[dict[str, Any]]:
    """Return the episodes of a program without a trace as a tree of depth 1."""
    trace = Trace("samples")
    for episode in found.result.episodes:
        state = "chosen" if episode.text == found.result.answer else "finished"
        trace.add(0, episode.text, len(episode.tokens), state=state)
    trace.mark(0, state="chosen")
    return trace.nodes
