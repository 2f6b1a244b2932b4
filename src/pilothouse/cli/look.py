"""``pilothouse methods``, ``tasks``, ``show`` and ``doctor``: what there is."""

from __future__ import annotations

from pathlib import Path

from cyclopts import App
from rich.console import Console

from pilothouse.cli.app import Json, Settings, app, emit, line, plain_output
from pilothouse.core.errors import ConfigError


@app.command
def methods(name: str = "", /, *, as_json: Json = False) -> None:
    """List the methods, or print one with its claim, its settings and where they come from.

    Args:
        name: A method.
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.methods.base import find_method
    from pilothouse.methods.base import methods as all_methods
    from pilothouse.reports.catalogue import print_method, print_methods

    if as_json:
        emit(find_method(name).to_dict() if name else [m.to_dict() for m in all_methods().values()])
    elif name:
        print_method(find_method(name).to_dict(), Console())
        _print_measured(name)
    else:
        print_methods([m.card for m in all_methods().values()], Console())


def _print_measured(name: str) -> None:
    """Print what became of a method's claim in the evidence that this checkout holds."""
    from pilothouse.methods.base import find_method
    from pilothouse.methods.measuring import checkout_evidence, gather
    from pilothouse.reports.claims import Row

    evidence = gather({name: find_method(name)}, "small", checkout_evidence()).get(name)
    if evidence:
        row = Row(name, evidence)
        line(f"\nmeasured here  {row.verdict}, {row.bars} bars reached, {evidence.date}; repeat: {evidence.command}")


@app.command
def show(run: Path, /, *, as_json: Json = False) -> None:
    """Show a run: settings, curves, result, the best and the worst responses.

    Args:
        run: The run's folder.
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.reports.runs import RunStore
    from pilothouse.reports.show import print_run, summary

    store = RunStore.open(run)
    if as_json:
        emit(summary(store))
    else:
        print_run(store, Console())


tasks = App(name="tasks", help="List the tasks, or check one against itself.")
app.command(tasks)


@tasks.default
def list_tasks(*, as_json: Json = False) -> None:
    """List the tasks.

    Args:
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.reports.catalogue import print_parts
    from pilothouse.tasks.base import Task
    from pilothouse.tasks.control import ControlTask

    rooms = {"tasks": Task.catalogue, "tasks to act in": ControlTask.catalogue}
    found = {
        title: {name: kind.__doc__ or "" for name, kind in room.classes().items()} for title, room in rooms.items()
    }
    if as_json:
        emit({name: text.strip().splitlines()[0] for room in found.values() for name, text in room.items()})
        return
    for title, room in found.items():
        print_parts(title, room, Console())


@tasks.command
def validate(
    name: str,
    /,
    *overrides: Settings,
    data: str | None = None,
    reward: str | None = None,
    as_json: Json = False,
) -> None:
    """Check that a task's verifier accepts its own solutions and its splits share nothing, or that its expert succeeds.

    Args:
        name: The task.
        overrides: Any setting of the task, as --name_of_setting VALUE.
        data: Path of the task's data, or a hub id.
        reward: Python reward function as module:function, for task jsonl.
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.tasks.base import Task
    from pilothouse.tasks.control import ControlTask
    from pilothouse.training.config import nested, read_overrides

    pairs = [(k, v) for k, v in {"data": data, "reward": reward}.items() if v is not None]
    acted = name.startswith("gym:") or name in ControlTask.catalogue.classes()
    task = (ControlTask if acted else Task).build({"name": name, **nested([*pairs, *read_overrides(overrides)])})
    with plain_output(as_json):
        faults = task.self_check()
        sizes = {} if isinstance(task, ControlTask) else {s: len(task.problems(s)) for s in ("train", "test")}
    if faults:
        raise ConfigError(f"task '{name}' is not fit for use: {faults[0]} ({len(faults)} faults in all)")
    if as_json:
        emit({"task": name, "fit": True, **sizes, "source": task.source()})
        return
    counted = f"{sizes['train']} train and {sizes['test']} test problems; " if sizes else ""
    line(f"{name}: fit for use; {counted}{task.source()}")


@app.command
def doctor(*, as_json: Json = False) -> None:
    """Tell what this machine can do: versions, devices, extras, and whether a tiny policy trains.

    Args:
        as_json: Print one JSON document on standard output.
    """
    from pilothouse.training.inspect import examine

    with plain_output(as_json):
        found = examine()
    if as_json:
        emit(found)
        return
    for name, value in found.items():
        line(f"{name:>24}  {value}")
