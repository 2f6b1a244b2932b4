"""A file of JSON lines read in places: pages, single rows and steps of a file that is too large to read whole.

Nothing is indexed. A row's address is the byte it begins at, so it is found at once; and since rows are in the order of
their steps, a step is found by bisecting on bytes: some thirty short reads in a file of any size.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from pilothouse.core.errors import RunError

Row = dict[str, Any]

MOST_BYTES = 32 * 2**20  #: read for one page
_STEP = re.compile(rb'\{"step":\s*(\d+)\s*[,}]')
_HEAVY = (b', "tokens": [', b', "trace": {')  #: what follows is as long as the response or the search
_NEAR, _CHUNK = 2**16, 2**16


@dataclass
class Page:
    """Some rows of a file.

    Args:
        rows: each with the byte it begins at.
        after: where to read on; ``None`` at the end of the file.
        faults: lines that are not JSON.
    """

    rows: list[tuple[int, Row]] = field(default_factory=list[tuple[int, Row]])
    after: int | None = None
    faults: int = 0


class RowFile:
    """Reads a JSONL file in places; a half-written last line is not there yet.

    Args:
        path: the file; one that is missing is empty.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def page(
        self,
        at: int = 0,
        most: int = 50,
        keep: Callable[[Row], bool] | None = None,
        until: Callable[[bytes], bool] | None = None,
        contains: tuple[bytes, ...] = (),
        budget: int = MOST_BYTES,
    ) -> Page:
        """Return the next rows, without what they hold for every token.

        Args:
            at: where to begin; the beginning of a line.
            most: rows to return.
            keep: only rows for which this holds.
            until: stop before the first line for which this holds.
            contains: only lines that hold some of these bytes, seen before anything is parsed.
            budget: bytes to read at most.

        Raises:
            RunError: the file cannot be read, or no row begins there.
        """
        page, begun = Page(), at
        for start, line in self._lines(at):
            if until is not None and until(line):
                return page
            if len(page.rows) == most or start - begun > budget:
                page.after = start
                return page
            if contains and not any(part in line for part in contains):
                continue
            row = _read(_light(line))
            if row is None:
                page.faults += 1
            elif keep is None or keep(row):
                page.rows.append((start, row))
        return page

    def row(self, at: int) -> Row:
        """Return the row that begins at a byte, with everything it holds.

        Raises:
            RunError: no row begins there, or it is damaged.
        """
        line = next((line for _, line in self._lines(at)), None)
        row = None if line is None else _read(line)
        if row is None:
            raise RunError(
                f"no whole row of {self.path.name} begins there: the run was continued since, or it is damaged"
            )
        return row

    def before(
        self, at: int, keep: Callable[[Row], bool] | None = None, budget: int = MOST_BYTES // 8
    ) -> tuple[int, Row] | None:
        """Return the nearest row before a byte, without what it holds for every token.

        Args:
            at: where a line begins, or the size of the file.
            keep: only a row for which this holds.
            budget: bytes to read at most.
        """
        for start, line in self._backwards(at):
            row = _read(_light(line))
            if row is not None and (keep is None or keep(row)):
                return start, row
            if at - start > budget:
                return None
        return None

    def steps(self) -> tuple[int, int] | None:
        """Return the first and the last step; ``None`` when there is no row."""
        first = next((step for _, line in self._lines(0) if (step := step_of(line)) is not None), None)
        last = next((step for _, line in self._backwards(self._size()) if (step := step_of(line)) is not None), None)
        return None if first is None or last is None else (first, last)

    def seek(self, step: int) -> int:
        """Return where the first row of a step, or of a later one, begins; the end of the last row if there is none."""
        low, high = 0, self._size()
        if not high:
            return 0
        with self._open() as stream:
            while high - low > _NEAR:
                middle = (low + high) // 2
                stream.seek(middle)
                stream.readline()
                line, end = stream.readline(), stream.tell()
                found = step_of(line)
                if end > high or found is None or found >= step:
                    high = middle
                else:
                    low = end
        for start, line in self._lines(low):
            found = step_of(line)
            if found is not None and found >= step:
                return start
            low = start + len(line)
        return low

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise RunError(f"cannot read {self.path.name}: {error.strerror or error}; make it readable") from error

    def _size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def _lines(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines with the byte each begins at."""
        if at < 0 or not self.path.exists():
            return
        with self._open() as stream:
            if at:
                stream.seek(at - 1)
                if stream.read(1) != b"\n":
                    raise RunError(f"no row of {self.path.name} begins at byte {at}: go back to the list")
            for line in stream:
                if not line.endswith(b"\n"):
                    return
                yield at, line
                at += len(line)

    def _backwards(self, at: int) -> Iterator[tuple[int, bytes]]:
        """Yield whole lines that end at or before a byte, the nearest first."""
        if not self.path.exists():
            return
        with self._open() as stream:
            end, held = min(at, self._size()), b""
            whole = False  # what follows the last line break is not a line yet
            while end > 0:
                start = max(0, end - _CHUNK)
                stream.seek(start)
                held = stream.read(end - start) + held
                end = start
                parts = held.split(b"\n")
                for part in reversed(parts[1:]):
                    start = end + len(held) - len(part)
                    if whole:
                        yield start, part + b"\n"
                    whole = True
                    held = held[: len(held) - len(part) - 1]
            if whole and held:
                yield 0, held + b"\n"


def last_row(path: Path) -> Row | None:
    """Return the last whole row of a file; ``None`` when there is none.

    Raises:
        RunError: the file cannot be read.
    """
    found = RowFile(path).before(path.stat().st_size if path.exists() else 0)
    return found[1] if found else None


def sampled_rows(path: Path, count: int = 24) -> list[Row]:
    """Return rows spread evenly over the bytes of a file, the last one among them: enough for a small picture.

    Args:
        path: the file.
        count: rows at most; a small file is read whole.

    Raises:
        RunError: the file cannot be read.
    """
    size = os.path.getsize(path) if path.exists() else 0
    if size <= _NEAR:
        return [row for _, row in RowFile(path).page(most=10_000).rows]
    found: list[Row] = []
    with path.open("rb") as stream:
        for place in range(count):
            stream.seek(size * place // count)
            if place:
                stream.readline()
            row = _read(stream.readline())
            if row is not None:
                found.append(row)
    last = last_row(path)
    return found + ([last] if last else [])


def step_of(line: bytes) -> int | None:
    """Return the step of a line, read from its beginning where it stands there; ``None`` if it has none."""
    found = _STEP.match(line)
    if found:
        return int(found[1])
    row = _read(_light(line))
    step = None if row is None else row.get("step")
    return step if isinstance(step, int) else None


def _light(line: bytes) -> bytes:
    """The line without what is long: within a string its quotes would be escaped, so it cannot be mistaken."""
    cuts = [at for mark in _HEAVY if (at := line.find(mark)) > 0]
    return line[: min(cuts)] + b"}" if cuts else line


def _read(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None
