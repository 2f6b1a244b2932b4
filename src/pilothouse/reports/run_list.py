"""What lies in a folder of runs: trained runs, searches, comparisons and evidence, however deep, read with care.

Names given from outside are never joined to a path blindly: what does not resolve to somewhere inside the folder is not
there. A summary is read once and again when a file of its run has changed.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pilothouse.core.errors import RunError
from pilothouse.reports.run_summary import FILES, RunSummary, summarise

DEPTH = 4  #: a run of a comparison lies two folders below it
MOST_NAME = 1000  #: characters of a name that is looked for
FRESH_S = 1.0  #: how long a walk through the folder stands
_EVIDENCE = re.compile(r".+-(?:smoke|small|gpu)\.json")


@dataclass(frozen=True)
class Found:
    """Something found in the folder.

    Args:
        kind: "run", "search", "comparison" or "evidence".
        name: its place relative to the folder, with "/" between the parts; of evidence, the file's.
        path: its folder; of evidence, the file.
    """

    kind: str
    name: str
    path: Path


class RunsFolder:
    """A folder of runs.

    Args:
        root: the folder.

    Raises:
        RunError: it is missing, or is itself a run.
    """

    def __init__(self, root: Path) -> None:
        if not root.is_dir():
            raise RunError(f"there is no folder {root}; give the folder that holds your runs, such as 'runs'")
        if (root / "config.toml").is_file():
            raise RunError(f"{root} is itself a run; give the folder that holds it: {root.resolve().parent}")
        self.root = root.resolve()
        self.title = self.root.name or str(self.root)
        self._walked: tuple[float, list[Found]] = (-FRESH_S, [])
        self._held: dict[Path, tuple[tuple[tuple[int, int, int], ...], RunSummary]] = {}
        self._lock, self._reading = threading.Lock(), threading.Lock()

    def found(self, kind: str = "") -> list[Found]:
        """Return all there is, or all of a kind."""
        with self._lock:
            at, everything = self._walked
            if time.monotonic() - at > FRESH_S:
                everything = list(self._walk(self.root, 0))
                self._walked = (time.monotonic(), everything)
        return [one for one in everything if not kind or one.kind == kind]

    def find(self, name: str, kinds: tuple[str, ...]) -> Found:
        """Return what has a name.

        Args:
            name: its place relative to the folder.
            kinds: what it may be.

        Raises:
            RunError: there is no such thing inside the folder.
        """
        missing = RunError(f"there is no {kinds[0]} '{name[:200]}' in {self.title}: it was moved or removed")
        parts = name.split("/")
        if any(not part or part.startswith(".") or "\0" in part for part in parts):
            raise missing
        path = self.root.joinpath(*parts)
        if len(name) > MOST_NAME or not self.holds(path):
            raise missing
        try:
            kind = "evidence" if _EVIDENCE.fullmatch(path.name) and path.is_file() else self._kind(path)
        except OSError:  # a name no file system would take
            raise missing from None
        if kind not in kinds:
            raise missing
        return Found(kind, name, path)

    def holds(self, path: Path) -> bool:
        """Return whether a path leads to somewhere inside the folder, links followed."""
        try:
            return path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError, ValueError):
            return False

    def file(self, found: Found, name: str) -> Path:
        """Return a file of something that was found.

        Raises:
            RunError: it leads out of the folder of runs.
        """
        path = found.path / name
        if path.exists() and not self.holds(path):
            raise RunError(f"{found.name}/{name} is a link that leads out of {self.title}: it is not followed")
        return path

    def summary(self, found: Found) -> RunSummary:
        """Return a run's summary, from memory if no file of it has changed."""
        state = tuple(_stamp(found.path / file) for file in FILES)
        with self._lock:
            held = self._held.get(found.path)
        if held is not None and held[0] == state:
            return held[1]
        for file in FILES:
            if not self.holds(found.path / file):
                summary = RunSummary(found.name, faults=(f"{file} is a link that leads out of {self.title}",))
                break
        else:
            summary = summarise(found.path, found.name)
        with self._lock:
            self._held[found.path] = (state, summary)
        return summary

    def summaries(self) -> list[RunSummary]:
        """Return the summary of every run; who asks while others read waits for them instead of reading too."""
        with self._reading:
            return [self.summary(one) for one in self.found("run")]

    def plain(self, sentence: str) -> str:
        """Return a sentence without the path of the folder, which is nobody's business on a page."""
        return sentence.replace(f"{self.root}{os.sep}", "").replace(str(self.root), self.title)

    def _walk(self, folder: Path, depth: int) -> Iterator[Found]:
        try:
            with os.scandir(folder) as listed:
                entries = sorted(listed, key=lambda entry: entry.name)
        except OSError:
            return
        for entry in entries:
            if entry.name.startswith(".") or not _readable(entry.name):
                continue
            path = folder / entry.name
            if entry.is_symlink() and (not self.holds(path) or folder.is_relative_to(path.resolve())):
                continue  # out of the folder, or back to where we are
            name = path.relative_to(self.root).as_posix()
            if not entry.is_dir():
                if _EVIDENCE.fullmatch(entry.name):
                    yield Found("evidence", name, path)
                continue
            kind = self._kind(path)
            if kind:
                yield Found(kind, name, path)
            if kind in ("", "comparison") and depth < DEPTH:
                yield from self._walk(path, depth + 1)

    @staticmethod
    def _kind(path: Path) -> str:
        if (path / "comparison.json").is_file():
            return "comparison"
        if not (path / "config.toml").is_file():
            return ""
        return "search" if (path / "traces.jsonl").is_file() else "run"


def _readable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_size, found.st_mtime_ns)
