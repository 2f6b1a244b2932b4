"""Experiment trackers that receive every metrics row besides ``metrics.jsonl``; none of them can stop a run."""

from __future__ import annotations

import importlib
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar

from pilothouse.core.errors import ConfigError, nearest

_PROJECT = "pilothouse"
T = TypeVar("T")


class Sink(Protocol):
    """Where metrics rows go."""

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send the finite numbers of a row.

        Args:
            step: the training step.
            row: its metrics.
        """
        ...

    def close(self) -> None:
        """Send what is left and end."""
        ...


class TensorBoard:
    """Writes TensorBoard event files under ``tensorboard`` in the run's folder, with TensorBoard's own writer.

    Args:
        run_path: the run's folder.
    """

    def __init__(self, run_path: Path) -> None:
        from tensorboard.compat.proto.event_pb2 import Event  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.compat.proto.summary_pb2 import Summary  # pyright: ignore[reportAttributeAccessIssue]
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._event, self._summary = Event, Summary
        self._writer = EventFileWriter(str(run_path / "tensorboard"))

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Write a scalar for every number of the row."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in numbers(row).items()]
        self._writer.add_event(self._event(wall_time=time.time(), step=step, summary=self._summary(value=values)))

    def close(self) -> None:
        """Write what is queued and close the file."""
        self._writer.close()


class Tracker:
    """Sends rows to trackio or wandb, which share one interface; the run is called like its folder.

    Args:
        module: the imported package.
        run_path: the run's folder.
    """

    def __init__(self, module: ModuleType, run_path: Path) -> None:
        self._module = module
        self._run = module.init(project=_PROJECT, name=run_path.name)

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send every number of the row."""
        self._run.log(numbers(row), step=step)

    def close(self) -> None:
        """Upload what is left and mark the run as finished."""
        self._module.finish()  # not the run's own: trackio would finish it again when Python exits


class Guarded:
    """Keeps a sink's troubles away from the run: a sink that fails is switched off, and that is said once.

    Caught is what each library documents, and nothing else: for all of them ``OSError`` (a full disk, a network that is
    down); for wandb its base class ``wandb.Error`` (no login, a refused or timed-out request); for trackio
    ``RuntimeError`` and ``ValueError`` (its server is not ready, a run is refused). What they print goes to standard
    error.

    Args:
        name: the sink's name, for the warning.
        opens: opens the sink.
        failures: what to catch.
        warn: called with the warning.
    """

    def __init__(
        self, name: str, opens: Callable[[], Sink], failures: tuple[type[Exception], ...], warn: Callable[[str], None]
    ) -> None:
        self._name, self._failures, self._warn = name, failures, warn
        self._sink = self._tried(opens)

    def log(self, step: int, row: Mapping[str, Any]) -> None:
        """Send the row if the sink still works."""
        if (sink := self._sink) is not None:
            self._tried(lambda: sink.log(step, row))

    def close(self) -> None:
        """End the sink if it still works."""
        if self._sink is not None:
            self._tried(self._sink.close)
            self._sink = None

    def _tried(self, work: Callable[[], T]) -> T | None:
        try:
            with redirect_stdout(sys.stderr):
                return work()
        except self._failures as error:
            self._sink = None
            self._warn(
                f"{self._name} failed and is switched off for this run ({type(error).__name__}: {error}); "
                "metrics.jsonl goes on holding every row"
            )
            return None


def check_sinks(names: Sequence[str]) -> None:
    """Refuse trackers that cannot be opened here, before any work is done.

    Args:
        names: of "tensorboard", "trackio" and "wandb".

    Raises:
        ConfigError: a name is unknown, or its package is not installed.
    """
    _ready_sinks(names)


def open_sinks(names: Sequence[str], run_path: Path, warn: Callable[[str], None]) -> list[Sink]:
    """Open the named trackers.

    Args:
        names: of "tensorboard", "trackio" and "wandb".
        run_path: the run's folder.
        warn: called once with a line about each sink that fails, now or later.

    Raises:
        ConfigError: a name is unknown, or its package is not installed.
    """
    # every package is imported before the first sink is opened, so that a refused run leaves none half open
    ready = _ready_sinks(names)
    return [Guarded(name, partial(opens, run_path), failures, warn) for name, opens, failures in ready]


def _ready_sinks(names: Sequence[str]) -> list[tuple[str, Callable[[Path], Sink], tuple[type[Exception], ...]]]:
    for name in names:
        if name not in _SINKS:
            raise ConfigError(f"unknown sink '{name}'{nearest(name, _SINKS)}")
    return [(name, *_SINKS[name]()) for name in names]


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """Return the finite numbers of a metrics row, without its step."""
    return {
        name: float(value)
        for name, value in row.items()
        if name != "step" and isinstance(value, int | float) and math.isfinite(value)
    }


_Ready = tuple[Callable[[Path], Sink], tuple[type[Exception], ...]]


def _tensorboard() -> _Ready:
    _imported("tensorboard.summary.writer.event_file_writer", "tensorboard")
    return TensorBoard, (OSError,)


def _trackio() -> _Ready:
    return partial(Tracker, _imported("trackio", "trackio")), (OSError, RuntimeError, ValueError)


def _wandb() -> _Ready:
    module = _imported("wandb", "wandb")
    return partial(Tracker, module), (OSError, module.Error)


_SINKS: dict[str, Callable[[], _Ready]] = {"tensorboard": _tensorboard, "trackio": _trackio, "wandb": _wandb}


def _imported(module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"sink '{package}' needs the package {error.name}; install it with pip install 'pilothouse[trackers]'"
        ) from error
