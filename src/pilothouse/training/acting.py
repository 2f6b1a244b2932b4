"""What all runs share whose outcome is an actor in a control task: its configuration, and how such a run ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pilothouse.core.errors import RunError
from pilothouse.core.parts import SLOT
from pilothouse.core.seeds import SeedTree
from pilothouse.reports.action_figures import episodes_figure, learning_figure
from pilothouse.reports.files import writing
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import Demonstrations
from pilothouse.training.action_evaluation import ActionEvaluation
from pilothouse.training.config import RunSettings
from pilothouse.training.model_folder import save_model
from pilothouse.training.steps import Loop

if TYPE_CHECKING:
    from pilothouse.training.referee import Referee


class ActingSettings(RunSettings):
    """The configuration of a run that learns to act.

    Args:
        task: what is acted in.
    """

    task: Annotated[ControlTask, SLOT]

    @property
    def task_title(self) -> str:
        """What to call its task."""
        return self.task.title

    @property
    def updates(self) -> int:
        """Optimiser steps in a step of the run."""
        return 1

    @classmethod
    def referee(cls) -> Referee[Any]:
        """Return how runs that learn to act are compared."""
        from pilothouse.training.acting_referee import ActingReferee  # which reads this configuration

        return ActingReferee()


def conclude_acting(
    loop: Loop,
    config: ActingSettings,
    kind: str,
    found: ActionEvaluation,
    save: Callable[[Path], None],
    how: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Save what acts, draw its learning and its episodes, and return what ``result.json`` holds.

    Args:
        loop: has taken its steps.
        config: the run's configuration.
        kind: what ``config.toml`` calls its kind.
        found: what was measured at the end.
        save: writes what acts into a folder that it makes.
        how: further facts of the measurement.

    Raises:
        RunError: the run's folder cannot be written.
    """
    store = loop.store
    save_model(save, store.path / "model")
    end = {"step": loop.done, "held_out": found.headline.estimate}
    end |= {"held_out_low": found.headline.low, "held_out_high": found.headline.high}
    title, figures = f"{config.method} on {config.task.title}", store.path / "figures"
    with writing(figures):
        measured = "success" if found.success else "return"
        figure = learning_figure([*store.metrics(), end], figures / "training", title=title, measured=measured)
        picture = episodes_figure(found.outcomes.trajectories, config.task.plane, figures / "episodes", title=title)
    return {
        "kind": kind,
        "finished": True,
        "method": config.method,
        "task": config.task.title,
        "source": config.task.source(),
        "steps": loop.done,
        "evaluation": {**(how or {}), **found.to_dict()},
        "seconds": dict(loop.clock.seconds),
        "figure": str(figure.relative_to(store.path)),
        "picture": str(picture.relative_to(store.path)),
    }


def recorded_episodes(task: ControlTask, count: int, seeds: SeedTree, progress: Progress) -> Demonstrations:
    """Return a task's episodes to learn from, and show how far a slow expert has come with them.

    Raises:
        DataError: there are too few, they do not fit the task, or the expert keeps failing.
    """
    return task.demonstrations(
        count, seeds, lambda done, total: progress.track(done, total, f"{done} of {total} episodes of the expert")
    )


def finished_model(store: RunStore) -> Path:
    """Return the folder of a finished run's model.

    Raises:
        RunError: the run has not finished.
    """
    folder = store.path / "model"
    if not folder.is_dir():
        raise RunError(f"run {store.path} is not finished: 'pilothouse train --resume {store.path}' completes it")
    return folder
