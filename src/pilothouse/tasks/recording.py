"""Episodes of experts that are slow: made side by side in processes of their own, and kept for the next time.

Each episode is a folder of its own, named by its number; which episode a number stands for depends on the task's
settings and the seed alone. So what was interrupted goes on, and asking for more adds to what there is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch

from pilothouse.core.cache import cache_root
from pilothouse.core.errors import DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import Trajectory, read_episodes, write_episodes
from pilothouse.tasks.playing import play

#: Told how many episodes there are, and of how many.
Progress: TypeAlias = Callable[[int, int], None]

_APART = 8  # episodes that are worth a process of their own, which takes seconds to begin


def recorded(task: ControlTask, count: int, seeds: SeedTree, progress: Progress | None = None) -> list[Trajectory]:
    """Return ``count`` successes of a task's expert, in the order of their numbers: read where kept, else made.

    A damaged episode is made again. A folder that cannot be written costs a warning, not the episodes.

    Args:
        task: whose ``edition`` is not empty.
        count: how many.
        seeds: node of the episodes; the start of the i-th is that of slot 0 at ``seeds / i``.
        progress: called whenever there are more of them; never where all are kept.

    Raises:
        DataError: the expert fails nineteen times in twenty, or an episode cannot be made.
    """
    good: list[Trajectory] = []
    with _folder(task, seeds) as folder:
        shelf, numbers = Shelf(task, seeds, folder), range(0)
        while len(good) < count:
            numbers = range(numbers.stop, numbers.stop + count - len(good))
            if numbers.stop > 20 * count:
                raise DataError(
                    f"the expert of task '{task.title}' fulfilled it {len(good)} times where {count} are needed"
                )
            told = None if progress is None else _Told(progress, len(good), count)
            good += [one for one in shelf.take(numbers, told) if one.success == 1]
    return good


@contextmanager
def _folder(task: ControlTask, seeds: SeedTree) -> Iterator[Path]:
    facts = [task.edition, task.model_dump(mode="json"), seeds.root, seeds.path]
    key = hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=16).hexdigest()
    folder = cache_root() / "demonstrations" / f"{task.name}-{key}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):  # a folder that is there may still refuse files
            pass
    except OSError as error:
        warnings.warn(
            f"episodes of the expert cannot be kept in '{folder}' ({error}) and will be made again next time; "
            "set PILOTHOUSE_CACHE to a folder that can be written",
            stacklevel=4,
        )
        with tempfile.TemporaryDirectory() as scratch:
            yield Path(scratch)
    else:
        yield folder


@dataclass
class _Told:
    """Passes on how many episodes there are whenever it is another number."""

    progress: Progress
    before: int
    total: int
    last: int = -1

    def __call__(self, there: int) -> None:
        if there != self.last:
            self.last = there
            self.progress(self.before + there, self.total)


@dataclass(frozen=True)
class Shelf:
    """The folder that holds a task's episodes by number.

    Args:
        task: theirs.
        seeds: node of them all.
        folder: where they are.
    """

    task: ControlTask
    seeds: SeedTree
    folder: Path

    def take(self, numbers: range, told: Callable[[int], None] | None = None) -> list[Trajectory]:
        """Return the episodes with these numbers; those that are missing or damaged are made first.

        Args:
            numbers: which.
            told: called with how many of them there are, while some are made.

        Raises:
            DataError: one cannot be made.
        """
        missing = [number for number in numbers if self.read(number) is None]
        for number in missing:
            shutil.rmtree(self.place(number), ignore_errors=True)

        def tell() -> None:
            if told is not None:
                told(len(numbers) - sum(not self.place(number).is_dir() for number in missing))

        workers = min(torch.get_num_threads(), len(missing) // _APART)
        if workers > 1:
            tell()
            self._make_apart([missing[i::workers] for i in range(workers)], tell)
        for number in missing if workers <= 1 else []:
            self.make(number)
            tell()
        episodes = [one for number in numbers if (one := self.read(number)) is not None]
        if len(episodes) < len(numbers):
            raise DataError(f"an episode in {self.folder} cannot be read although it was just made: check that disk")
        return episodes

    def place(self, number: int) -> Path:
        """Return the folder of an episode."""
        return self.folder / f"episode-{number:05d}"

    def read(self, number: int) -> Trajectory | None:
        """Return an episode, or ``None`` if it is missing or damaged."""
        try:
            (one,) = read_episodes(self.place(number))
        except (DataError, ValueError):
            return None
        widths = one.observations.shape[1], one.actions.shape[1]
        whole = one.observations.isfinite().all() and one.actions.isfinite().all()
        return one if whole and widths == (self.task.observation_dim, self.task.action_dim) else None

    def make(self, number: int) -> None:
        """Write an episode beside its place and rename it there, so that nobody ever reads half of one.

        Raises:
            DataError: it cannot be written.
        """
        task, node = self.task, self.seeds / number
        expert = task.expert(1, node / "expert")
        shown = play(task.make(1, node), lambda seen, _: expert.act(seen), task.bounds)
        with tempfile.TemporaryDirectory(prefix=".draft-", dir=self.folder) as draft:
            whole = Path(draft) / "episode"
            write_episodes(whole, shown)
            try:
                whole.rename(self.place(number))
            except OSError as error:
                if not self.place(number).is_dir():  # else another process was faster, with the same episode
                    raise DataError(f"cannot write {self.place(number)}: {error}; free space") from error

    def _make_apart(self, shares: Sequence[Sequence[int]], tell: Callable[[], None]) -> None:
        """Let a process of one thread make each share."""
        kind = type(self.task)
        spec = {**self.task.model_dump(mode="json"), "name": f"{kind.__module__}:{kind.__qualname__}"}
        order = {"task": spec, "root": self.seeds.root, "path": self.seeds.path, "folder": str(self.folder)}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-W", "ignore", "-m", __name__]
        with tempfile.TemporaryFile("w+") as said, ExitStack() as ended:
            workers: list[subprocess.Popen[bytes]] = []
            for share in shares:
                what = json.dumps({**order, "numbers": list(share)})
                workers.append(subprocess.Popen([*command, what], stdout=said, stderr=said, env=environment))
                ended.callback(workers[-1].wait)
                ended.callback(workers[-1].terminate)
            ends: list[int | None] = [None]
            while None in ends and not any(ends):
                time.sleep(0.2)
                ends = [worker.poll() for worker in workers]
                tell()
            if any(ends):
                said.seek(0)
                reason = (said.read().strip().splitlines() or ["it said nothing"])[-1]
                raise DataError(f"a process that records episodes failed ({reason}); mend that and call again")


def _fulfil(order: dict[str, Any]) -> None:
    seeds = SeedTree(order["root"], tuple(order["path"]))
    shelf = Shelf(ControlTask.build(order["task"]), seeds, Path(order["folder"]))
    for number in order["numbers"]:
        shelf.make(number)


if __name__ == "__main__":
    torch.set_num_threads(1)
    _fulfil(json.loads(sys.argv[1]))
