"""What a page function returns, and what every page is made from."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pilothouse.core.errors import PilothouseError
from pilothouse.reports.files import read_json
from pilothouse.reports.metrics_file import MetricsFiles
from pilothouse.reports.run_list import Found, RunsFolder
from pilothouse.reports.run_summary import table
from pilothouse.reports.runs import RunStore

if TYPE_CHECKING:
    from pilothouse.methods.base import Method

T = TypeVar("T")
SIZE = 100  #: rows a page


@dataclass(frozen=True)
class View:
    """A page to render.

    Args:
        template: its file.
        context: what it shows.
    """

    template: str
    context: dict[str, Any] = field(default_factory=dict[str, Any])


class NotHere(PilothouseError):
    """What was asked for does not exist."""


class House:
    """What the pages read: the folder of runs, their figures, the methods.

    Args:
        root: the folder of runs.

    Raises:
        RunError: it is missing, or is itself a run.
    """

    def __init__(self, root: Path) -> None:
        self.folder = RunsFolder(root)
        self.metrics = MetricsFiles()
        self._lock = threading.Lock()

    def config(self, found: Found) -> Mapping[str, Any]:
        """Return the settings of a run or a search.

        Raises:
            RunError: they cannot be read, or lie outside the folder.
        """
        return RunStore(self.folder.file(found, "config.toml").parent).read_config()

    def result(self, found: Found) -> Mapping[str, Any]:
        """Return the result of a run or a search; an empty table while there is none.

        Raises:
            RunError: it is damaged, or lies outside the folder.
        """
        path = self.folder.file(found, "result.json")
        return table(read_json(path)) if path.exists() else {}

    def methods(self) -> dict[str, Method]:
        """Return the methods by name; the first to ask waits for them to load."""
        with self._lock:
            from pilothouse.methods.base import methods  # they load PyTorch, which the other pages need not wait for

            return methods()

    def warm(self, read: threading.Event) -> None:
        """Read every run, then load the methods, so that nobody waits for that later.

        Args:
            read: set when the runs are read.
        """
        try:
            self.folder.summaries()
        finally:
            read.set()
        self.methods()


@dataclass(frozen=True)
class Paged(Generic[T]):
    """One page of a list.

    Args:
        rows: those of this page.
        total: how many there are in all.
        page: this page, counted from 1.
        size: rows a page.
    """

    rows: Sequence[T]
    total: int
    page: int
    size: int = SIZE

    @property
    def pages(self) -> int:
        """How many pages there are."""
        return max(1, -(-self.total // self.size))

    @property
    def first(self) -> int:
        """Number of the first row on this page, counted from 1."""
        return (self.page - 1) * self.size + 1

    @property
    def last(self) -> int:
        """Number of the last row on this page."""
        return self.first + len(self.rows) - 1


def paged(rows: Sequence[T], page: int, size: int = SIZE) -> Paged[T]:
    """Return a page of a list; beyond the last page is the last page."""
    page = max(1, min(page, max(1, -(-len(rows) // size))))
    return Paged(rows[(page - 1) * size : page * size], len(rows), page, size)
