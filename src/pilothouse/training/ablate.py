"""Ablation: one recipe, one switch varied, paired seeds; a finished run is read back, a broken one continued."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import validated
from pilothouse.reports.files import dumps, path_name
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.statistics import Interval, paired_difference
from pilothouse.training.config import RunConfig, RunSettings, nested, overlay
from pilothouse.training.run import resume, train


@dataclass(frozen=True)
class Row:
    """One value of the switch; every figure is of sampled answers to held-out problems after training.

    Args:
        value: the value, as written.
        base: whether it is what the method itself has.
        accuracy: mean over seeds.
        difference: accuracy above the base's, paired by seed.
        length: mean response length, in tokens.
        entropy: nats per token.
        distinct: mean number of distinct right answers to a problem, of ``training.eval_samples`` attempts.
        tokens: tokens sampled in training, mean over seeds.
    """

    value: str
    base: bool
    accuracy: Interval
    difference: Interval
    length: float
    entropy: float
    distinct: float
    tokens: float


@dataclass(frozen=True)
class Ablation:
    """What varying one switch did.

    Args:
        method: whose recipe was varied.
        task: the task's name.
        switch: the setting's dotted name.
        seeds: runs a value.
        steps: training steps of every run.
        samples: attempts at each held-out problem.
        rows: a row a value, the base first.
    """

    method: str
    task: str
    switch: str
    seeds: int
    steps: int
    samples: int
    rows: tuple[Row, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def ablate(
    base: RunConfig,
    switch: str,
    values: Sequence[Any],
    *,
    seeds: int,
    out: Path,
    progress: Progress,
) -> Ablation:
    """Train as configured and with each value of a switch, with the same seeds and steps, and compare.

    Args:
        base: the whole configuration; its seed is the first.
        switch: dotted name of the setting to vary ("credit", "credit.std", "objective.eps_high").
        values: what to set it to; a value that the base has already is not run twice.
        seeds: runs a value.
        out: keeps every run; call again with the same arguments to continue.
        progress: shows what happens.

    Raises:
        ConfigError: there is no such setting, a value does not fit, or there is nothing to compare.
    """
    if seeds < 1 or not values:
        raise ConfigError("an ablation needs at least one value and one seed; give --values A,B and --seeds 3")
    table = base.model_dump(mode="json")
    configs = {_label(_at(table, switch)): base}
    for value in values:
        changed = overlay(table, nested([(switch, value)]))
        varied = validated(RunConfig, changed, f"the configuration of '{base.method}'")
        if varied != base:
            configs[_label(value)] = varied
    found: dict[str, list[dict[str, Any]]] = {value: [] for value in configs}
    for seed in range(base.seed, base.seed + seeds):
        for value, config in configs.items():
            progress.say(f"{switch} = {value}, seed {seed}")
            name = path_name(f"{switch}={value}-seed-{seed}")
            found[value].append(run_once(config.model_copy(update={"seed": seed}), out / name, progress))
    first = next(iter(found.values()))
    rows = tuple(_row(value, runs, first) for value, runs in found.items())
    settings = base.training
    return Ablation(base.method, base.task.name, switch, seeds, settings.steps, settings.eval_samples, rows)


def run_folder(config: RunSettings, folder: Path) -> Path:
    """Return the folder that ``run_once`` uses.

    Args:
        config: the whole configuration; a hash of it ends the folder's name, so that no other run is taken for it.
        folder: the run's folder, to which that hash is added.
    """
    table = dumps(config.model_dump(mode="json"))
    return folder.with_name(f"{folder.name}-{hashlib.sha256(table.encode()).hexdigest()[:8]}")


def run_once(config: RunSettings, folder: Path, progress: Progress) -> dict[str, Any]:
    """Return the result of a run that is made, continued, or read back, whichever it needs.

    Args:
        config: the whole configuration.
        folder: the run's folder, to whose name ``run_folder`` adds.
        progress: shows what happens.
    """
    folder = run_folder(config, folder)
    if (folder / "result.json").is_file():
        result = RunStore.open(folder).read_result()
        if result["finished"]:
            return result
    if any((folder / "checkpoints").glob("*/manifest.json")):
        return resume(folder, None, progress).result
    shutil.rmtree(folder, ignore_errors=True)  # a run cut off before its first checkpoint holds nothing to keep
    return train(config, folder, progress).result


def _row(value: str, runs: Sequence[dict[str, Any]], base: Sequence[dict[str, Any]]) -> Row:
    after = [run["after"]["sampled"] for run in runs]
    accuracy = [figures["accuracy"] for figures in after]
    return Row(
        value=value,
        base=runs is base,
        accuracy=paired_difference(accuracy, [0.0] * len(accuracy)),
        difference=paired_difference(accuracy, [run["after"]["sampled"]["accuracy"] for run in base]),
        length=_mean([figures["length"] for figures in after]),
        entropy=_mean([figures["entropy"] for figures in after]),
        distinct=_mean([figures["distinct"] for figures in after]),
        tokens=_mean([run["cost"]["tokens_sampled"] for run in runs]),
    )


def _at(table: Mapping[str, Any], switch: str) -> Any:
    """The value of a dotted setting."""
    value: Any = table
    for piece in switch.split("."):
        if not isinstance(value, Mapping) or piece not in value:
            return "(unset)"
        value = value[piece]
    return value


def _label(value: Any) -> str:
    return str(value["name"]) if isinstance(value, Mapping) and "name" in value else str(value)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else float("nan")
