"""A whole run: prepare what is trained, measure, train, measure again, leave a folder that tells everything."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import RunError
from pilothouse.core.parts import validated
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.sinks import check_sinks
from pilothouse.training.config import RunSettings
from pilothouse.training.course import Course
from pilothouse.training.kinds import kind_of_run


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Args:
        store: the run's folder.
        result: final figures with intervals and cost, as written to ``result.json``.
    """

    store: RunStore
    result: dict[str, Any]


def train(config: RunSettings, out: Path | None, progress: Progress) -> Finished:
    """Train from the beginning in a new run folder.

    Args:
        config: the resolved configuration, of any kind.
        out: the folder to make; by default one named after method, task and time under ``runs``.
        progress: shows what happens.
    """
    check_sinks(config.sinks)
    store = RunStore.create(out, config.method, config.task_title)
    try:
        course = config.course(store, progress)
    except BaseException:
        with suppress(OSError):  # a run that could not begin leaves no empty folder
            store.path.rmdir()
        raise
    store.write_config(course.config_table())
    progress.say(course.plan())
    course.begin()
    course.loop.save()
    return _finish(course)


def resume(path: Path, steps: int | None, progress: Progress, method: str = "") -> Finished:
    """Continue a run exactly where its newest whole checkpoint left it.

    Args:
        path: the run's folder.
        steps: train up to this many steps instead of the number in the configuration.
        progress: shows what happens.
        method: refuse a run of any other method; empty takes every run.

    Raises:
        RunError: there is no such run, no whole checkpoint, or it cannot be continued like this.
    """
    store = RunStore.open(path)
    table = store.read_config()
    table.pop("versions", None)
    config = validated(kind_of_run(table), table, f"{store.path / 'config.toml'}")
    if method and method != config.method:
        raise RunError(
            f"{store.path} is a run of method '{config.method}', not '{method}': drop the name, or start a new run"
        )
    check_sinks(config.sinks)
    training = config.loop_settings
    if steps is not None:
        if steps < training.steps and training.schedule != "constant":
            raise RunError(
                "fewer steps would change the learning-rate schedule of steps already taken; start a new run"
            )
        training.steps = steps
    course = config.course(store, progress)
    course.loop.restore()
    return _finish(course)


def _finish(course: Course) -> Finished:
    loop = course.loop
    loop.progress.start(loop.training.steps, loop.done)
    try:
        loop.fit()
    finally:
        loop.progress.stop()
    result = course.conclude()
    loop.store.write_result(result)
    return Finished(loop.store, result)
