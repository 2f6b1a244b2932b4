"""Several methods on the same tasks, seeds and budget: runs side by side, each finished, continued or read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from pilothouse.core.errors import ConfigError, RunError
from pilothouse.reports.files import path_name, write_text
from pilothouse.reports.locks import locked
from pilothouse.reports.outcomes import Outcome
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore, without_none
from pilothouse.training.ablate import run_folder, run_once
from pilothouse.training.config import RunSettings


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    Args:
        label: what the comparison calls the method.
        config: its whole configuration.
        folder: where it is kept.
    """

    label: str
    config: RunSettings
    folder: Path

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.label} on {self.config.task_title}, seed {self.config.seed}"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do.

        Raises:
            RunError: its result is damaged.
        """
        if not (self.folder / "result.json").is_file():
            return False
        try:
            return bool(RunStore.open(self.folder).read_result().get("finished"))
        except (RunError, AttributeError) as error:
            raise RunError(
                f"the run of {self.title} left a result that cannot be read ({error}): delete {self.folder} and call "
                "again, and that run is made anew"
            ) from error


def grid(
    configured: Callable[[str, str, int], RunSettings],
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    out: Path,
) -> list[Entry]:
    """Return the runs of a comparison, every method of a seed before the next seed begins.

    Args:
        configured: the configuration of a method on a task with a seed.
        methods: what the comparison calls them, none twice.
        tasks: names, none twice.
        seeds: the same for every method, so that runs form pairs.
        out: keeps every run.

    Raises:
        ConfigError: something is named twice, two methods come to the same, or a configuration is refused.
    """
    for what, names in (("method", methods), ("task", tasks), ("seed", seeds)):
        if twice := [name for name in names if list(names).count(name) > 1]:
            hint = f", or give one other settings, such as {twice[0]}:training.steps=50" if what == "method" else ""
            raise ConfigError(f"{what} {twice[0]} is named twice: drop one of the two{hint}")
    entries: list[Entry] = []
    for seed in seeds:
        for task in tasks:
            for place, method in enumerate(methods):
                config = configured(method, task, seed)
                if alike := [e.label for e in entries[len(entries) - place :] if e.config == config]:
                    raise ConfigError(f"'{alike[0]}' and '{method}' are configured alike: drop one of the two")
                stem = out / "runs" / path_name(f"{method}-{config.task_title}-seed-{seed}")
                entries.append(Entry(method, config, run_folder(config, stem)))
    return entries


def run_all(entries: Sequence[Entry], jobs: int, out: Path, progress: Progress) -> None:
    """Make, continue or read back every run.

    Args:
        entries: the runs.
        jobs: runs at a time, 0 for one a processor; above 1 each is a process of its own with its share of them.
        out: keeps the runs; nobody else may work in it meanwhile.
        progress: shows what happens.

    Raises:
        RunError: a run failed, or another comparison works in ``out``; what finished is kept, and calling again
            continues the others.
    """
    with locked(out / ".lock", "by another comparison, or by the last runs of one that was killed") as lock:
        left = [entry for entry in entries if not entry.finished]
        progress.say(f"{len(entries)} runs, {len(entries) - len(left)} of them finished before")
        jobs = min(jobs or processors(), len(left))
        if jobs > 1:
            for entry in {(entry.label, entry.config.task_title): entry for entry in left}.values():
                entry.config.referee().ready(entry.config, progress)
            _side_by_side(left, jobs, lock, progress)
            return
        for entry in left:
            progress.phase(entry.title)
            run_once(entry.config, _stem(entry), progress)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _stem(entry: Entry) -> Path:
    """The folder's name without the hash that ``run_once`` adds."""
    return entry.folder.with_name(entry.folder.name.rpartition("-")[0])


def _side_by_side(entries: Sequence[Entry], jobs: int, lock: int, progress: Progress) -> None:
    threads = max(1, processors() // jobs)
    progress.phase(f"{len(entries)} runs, {jobs} at a time on {threads} thread{'s' if threads > 1 else ''} each")
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_run_apart, entry, threads, lock): entry for entry in entries}
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                progress.say(f"{done} of {len(entries)}: {waiting[future].title}")
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def _run_apart(entry: Entry, threads: int, lock: int) -> None:
    """Run the command line in a process of its own, which holds the lock as well; its log lies beside the run."""
    folder, log = entry.folder, entry.folder.with_name(f"{entry.folder.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    if any((folder / "checkpoints").glob("*/manifest.json")):
        what = ["--resume", str(folder)]
    else:
        shutil.rmtree(folder, ignore_errors=True)  # a run cut off before its first checkpoint holds nothing to keep
        config = folder.with_name(f"{folder.name}.toml")
        write_text(config, tomli_w.dumps(without_none(entry.config.model_dump(mode="json"))))
        what = ["--config", str(config), "--out", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with log.open("wb") as stream:
        command = [sys.executable, "-m", "pilothouse", "train", *what, "--json"]
        done = subprocess.run(
            command, stdout=subprocess.DEVNULL, stderr=stream, env=environment, pass_fds=(lock,), check=False
        )
    if done.returncode:
        said = log.read_text(errors="replace").strip().splitlines()
        reason = said[-1].removeprefix("error: ") if said else f"exit status {done.returncode}"
        raise RunError(f"the run of {entry.title} failed ({reason}); its log is {log}; mend that and call again")


def outcome(entry: Entry) -> Outcome:
    """Return what the report reads of a finished run.

    Raises:
        RunError: another version wrote its result.
    """
    store = RunStore.open(entry.folder)
    config = store.read_config()
    try:
        measured = entry.config.referee().measured(store)
    except (KeyError, TypeError) as error:  # a figure that this version reads is not there
        version = config.get("versions", {}).get("pilothouse", "unknown")
        raise RunError(
            f"the result in {entry.folder} lacks {error}: pilothouse {version} wrote it; delete that folder and call "
            "again, and the run is made anew"
        ) from error
    return Outcome(entry.label, entry.config.task_title, entry.config.seed, entry.folder, config, measured)
