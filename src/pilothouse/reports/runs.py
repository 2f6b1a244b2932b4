"""A run is a folder that tells everything: configuration, metrics, every rollout, checkpoints, figures, result.

config.toml     the whole configuration, with a [versions] table
metrics.jsonl   a row a training step
rollouts.jsonl  a row an episode
result.json     final figures with intervals and cost
checkpoints/ figures/ model/
"""

from __future__ import annotations

import platform
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import tomli_w

from pilothouse import __version__
from pilothouse.core.errors import RunError
from pilothouse.reports.files import append_rows, read_json, read_rows, replacing, write_json, write_text, writing

_CONFIG, _METRICS, _ROLLOUTS, _RESULT = "config.toml", "metrics.jsonl", "rollouts.jsonl", "result.json"


class RunStore:
    """Reads and writes a run's folder; make one with ``create`` or ``open``.

    Args:
        path: the run's folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path | None, method: str, task: str) -> RunStore:
        """Make a new, empty run folder.

        Args:
            path: the folder; by default ``runs/<method>-<task>-<time>``.
            method: the method's name.
            task: the task's name.

        Raises:
            RunError: the folder already holds something or cannot be written.
        """
        if path is None:
            return cls(_named_by_time(Path("runs"), f"{method}-{task}"))
        with writing(path):
            path.mkdir(parents=True, exist_ok=True)
            if any(path.iterdir()):
                way = f"continue it with --resume {path}" if (path / _CONFIG).exists() else "empty it"
                raise RunError(f"{path} is not empty; give --out a new folder, or {way}")
            with tempfile.TemporaryFile(dir=path):  # to know now, not after the first step, that it can be written
                pass
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunStore:
        """Return the run in an existing folder.

        Raises:
            RunError: the folder is missing or holds no run.
        """
        if not path.is_dir():
            raise RunError(f"there is no run folder {path}; give the path that the run printed at its end")
        if not (path / _CONFIG).is_file():
            raise RunError(f"{path} is not a run: it has no {_CONFIG}; give the folder that holds it")
        return cls(path)

    def append_metrics(self, row: Mapping[str, Any]) -> None:
        """Append a step's row.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        append_rows(self.path / _METRICS, [row])

    def append_rollouts(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Append a row for each episode of a step.

        Raises:
            RunError: the disk is full or the folder cannot be written.
        """
        append_rows(self.path / _ROLLOUTS, rows)

    def metrics(self) -> Iterator[dict[str, Any]]:
        """Yield the row of every step; a number that was NaN or infinite reads as ``None``."""
        return (row for _, row in read_rows(self.path / _METRICS))

    def rollouts(self, step: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the row of every episode.

        Args:
            step: only those of this step.
        """
        return (row for _, row in read_rows(self.path / _ROLLOUTS) if step is None or row["step"] == step)

    def truncate(self, step: int) -> None:
        """Drop every row recorded after ``step``, so that a resumed run records those steps once.

        Args:
            step: the last step to keep.

        Raises:
            RunError: the files cannot be written; they are then as they were.
        """
        for path in (self.path / _METRICS, self.path / _ROLLOUTS):
            if path.exists():
                with replacing(path) as stream:
                    stream.writelines(line for line, row in read_rows(path) if row["step"] <= step)

    def write_config(self, table: Mapping[str, Any]) -> None:
        """Write the configuration, with the versions it ran on.

        Args:
            table: TOML-ready tables; a ``None``, which TOML cannot hold, is left out.

        Raises:
            RunError: the folder cannot be written.
        """
        write_text(self.path / _CONFIG, tomli_w.dumps({**without_none(table), "versions": versions()}))

    def read_config(self) -> dict[str, Any]:
        """Return the configuration with its ``versions`` table.

        Raises:
            RunError: the file is missing or is not TOML.
        """
        try:
            return tomllib.loads((self.path / _CONFIG).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {self.path / _CONFIG}: {error}; mend that file") from error

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write the final figures in place of any earlier ones.

        Raises:
            RunError: the folder cannot be written.
        """
        write_json(self.path / _RESULT, result)

    def read_result(self) -> dict[str, Any]:
        """Return the figures written last.

        Raises:
            RunError: there are none yet, or the file is damaged.
        """
        return read_json(self.path / _RESULT)


def list_runs(folder: Path) -> list[RunStore]:
    """Return the runs directly under a folder, newest first.

    Args:
        folder: such as ``runs``; one that is missing has none.
    """
    configs = sorted(folder.glob(f"*/{_CONFIG}"), key=lambda path: path.stat().st_mtime, reverse=True)
    return [RunStore(path.parent) for path in configs]


def versions() -> dict[str, str]:
    """Return what a run depends on: versions of Python and the packages that compute, and the commit of a checkout."""
    found = {"pilothouse": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "numpy"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    commit = _commit(Path(__file__).parents[1])
    return found | ({"commit": commit} if commit else {})


def without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested table without absent values, which TOML cannot write; their defaults are absent too."""

    def clean(value: Any) -> Any:
        if isinstance(value, Mapping):
            return without_none(value)
        return [clean(item) for item in value] if isinstance(value, list | tuple) else value

    return {key: clean(value) for key, value in table.items() if value is not None}


def _commit(package: Path) -> str:
    """Return the commit that a package was imported from, or "" when it is not part of its own checkout."""
    try:
        git = subprocess.run(
            ["git", "-C", str(package), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    # an installed copy may lie inside somebody else's checkout, whose commit says nothing of it
    return git.stdout.strip() if (package.parents[1] / ".git").exists() else ""


def _named_by_time(folder: Path, name: str) -> Path:
    stem = folder / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    for count in range(1, 1000):
        path = stem if count == 1 else stem.with_name(f"{stem.name}-{count}")
        with writing(path):
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            return path
    raise RunError(f"a thousand runs are called {stem}; give --out a new folder")
