"""Several methods on the same tasks, seeds and budget: runs side by side, each finished, continued or read back."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import tomli_w

from pilothouse.core.errors import ConfigError, RunError
from pilothouse.reports.files import write_text
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore, without_none
from pilothouse.training.ablate import run_folder, run_once
from pilothouse.training.config import TINY, RunConfig
from pilothouse.training.prepare import prepare_policy


@dataclass(frozen=True)
class Entry:
    """One run of a comparison.

    Args:
        config: its whole configuration.
        folder: where it is kept.
    """

    config: RunConfig
    folder: Path

    @property
    def title(self) -> str:
        """What to call it."""
        return f"{self.config.method} on {self.config.task.name}, seed {self.config.seed}"

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to do."""
        if not (self.folder / "result.json").is_file():
            return False
        return bool(RunStore.open(self.folder).read_result().get("finished"))


def grid(
    configured: Callable[[str, str, int], RunConfig],
    methods: Sequence[str],
    tasks: Sequence[str],
    seeds: Sequence[int],
    out: Path,
) -> list[Entry]:
    """Return the runs of a comparison, every method of a seed before the next seed begins.

    Args:
        configured: the configuration of a method on a task with a seed.
        methods: names, none twice.
        tasks: names, none twice.
        seeds: the same for every method, so that runs form pairs.
        out: keeps every run.

    Raises:
        ConfigError: there are fewer than two methods, something is named twice, or a configuration is refused.
    """
    if len(methods) < 2:
        raise ConfigError("a comparison needs two methods or more, such as 'pilothouse compare grpo lite-ppo'")
    for what, names in (("method", methods), ("task", tasks), ("seed", seeds)):
        if twice := [name for name in names if list(names).count(name) > 1]:
            raise ConfigError(f"{what} {twice[0]} is named twice: drop one of the two")
    entries: list[Entry] = []
    for seed in seeds:
        for task in tasks:
            for method in methods:
                config = configured(method, task, seed)
                entries.append(Entry(config, run_folder(config, out / "runs" / f"{method}-{task}-seed-{seed}")))
    return entries


def run_all(entries: Sequence[Entry], jobs: int, progress: Progress) -> None:
    """Make, continue or read back every run.

    Args:
        entries: the runs.
        jobs: runs at a time; above 1 each is a process of its own with its share of the processors.
        progress: shows what happens.

    Raises:
        RunError: a run failed; those that finished are kept, and calling again continues the others.
    """
    left = [entry for entry in entries if not entry.finished]
    progress.say(f"{len(entries)} runs, {len(entries) - len(left)} of them finished before")
    if jobs > 1 and len(left) > 1:
        _warm(left, progress)
        _side_by_side(left, jobs, progress)
        return
    for entry in left:
        progress.phase(entry.title)
        run_once(entry.config, _stem(entry), progress)


def _stem(entry: Entry) -> Path:
    """The folder's name without the hash that ``run_once`` adds."""
    return entry.folder.with_name(entry.folder.name.rpartition("-")[0])


def _warm(entries: Sequence[Entry], progress: Progress) -> None:
    """Make each task's tiny policy once, so that no two processes make the same one."""
    tasks = {entry.config.task.name: entry.config for entry in entries if entry.config.policy.model == TINY}
    for config in tasks.values():
        prepare_policy(config.policy, config.task, config.seed, progress)


def _side_by_side(entries: Sequence[Entry], jobs: int, progress: Progress) -> None:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    progress.phase(f"{len(entries)} runs, {jobs} at a time on {threads} thread{'s' if threads > 1 else ''} each")
    with ThreadPoolExecutor(jobs) as pool:
        waiting = {pool.submit(_run_apart, entry, threads): entry for entry in entries}
        try:
            for done, future in enumerate(as_completed(waiting), 1):
                future.result()
                progress.say(f"{done} of {len(entries)}: {waiting[future].title}")
        except BaseException:
            for future in waiting:
                future.cancel()
            raise


def _run_apart(entry: Entry, threads: int) -> None:
    """Run the command line in a process of its own; its log lies beside the run."""
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
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=stream, env=environment, check=False)
    if done.returncode:
        said = log.read_text(errors="replace").strip().splitlines()
        reason = said[-1].removeprefix("error: ") if said else f"exit status {done.returncode}"
        raise RunError(f"the run of {entry.title} failed ({reason}); its log is {log}; mend that and call again")


def outcome(entry: Entry) -> Mapping[str, Any]:
    """Return what the report reads of a finished run: its result, its held-out curve, its settings and a few responses.

    The curve has a point for each evaluation: tokens that sampling had computed by then, and accuracy.
    """
    store = RunStore.open(entry.folder)
    result = store.read_result()
    curve = [(0.0, result["before"]["sampled"]["accuracy"])]
    curve += [(row["tokens_computed"], row["held_out"]) for row in store.metrics() if "held_out" in row]
    curve.append((result["cost"]["tokens_computed"], result["after"]["sampled"]["accuracy"]))
    return {
        "method": entry.config.method,
        "task": entry.config.task.name,
        "seed": entry.config.seed,
        "folder": str(entry.folder),
        "result": result,
        "curve": curve,
        "config": store.read_config(),
        "responses": list(islice(store.rollouts(result["steps"]), 3)),
    }
