"""The claim of One Map, Many Trials: effects estimated from predictions are right once the shrinkage is undone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pilothouse.core.cards import Evidence
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.debiasing import claims
from pilothouse.methods.experiments.measured import over
from pilothouse.methods.experiments.pubmedqa import FILE, find_questions
from pilothouse.reports.cells import kept
from pilothouse.reports.figures import Panel, panels_figure
from pilothouse.reports.progress import Progress

SHOWN = ("naive", "linear", "tweedie", "tweedie, density of the trial", "ppi", "ratledge")


@dataclass(frozen=True)
class Scale:
    """The size of the experiments.

    Args:
        repeats: repetitions of the simulated trials.
        effects: effects from -2 to 2 in a repetition, each with a network and a model of its own.
        train: units to train on.
        calibration: units of the calibration split.
        units: units of a trial.
        mixtures: repetitions of the mixture.
        draws: units of a mixture.
        splits: splits of the diabetes set, and of PubMedQA's questions where they are.
        trials: pseudo-trials of a split.
        text: whether PubMedQA's questions are measured where they are.
    """

    repeats: int = 5
    effects: int = 13
    train: int = 3000
    calibration: int = 1000
    units: int = 4000
    mixtures: int = 10
    draws: int = 200_000
    splits: int = 20
    trials: int = 100
    text: bool = True


SCALES = {
    "smoke": Scale(2, 3, 300, 200, 300, mixtures=2, draws=2000, splits=2, trials=5, text=False),
    "small": Scale(),
}


def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
    """Run the three experiments; what is finished is kept and not run again.

    Args:
        scale: "smoke" (seconds, no verdict) or "small" (minutes of two cores).
        out: folder for the evidence, its figure and every finished repetition.
        progress: shows what happens.

    Raises:
        ConfigError: the scale is "gpu", for which there is no experiment, or scikit-learn is not installed.
    """
    if scale not in SCALES:
        raise ConfigError("debiasing has no experiment at GPU scale: use --scale small")
    started, size = time.perf_counter(), SCALES[scale]
    from pilothouse.decisions import estimators  # noqa: F401 - without scikit-learn, says what to install
    from pilothouse.methods.experiments.debiasing.diabetes import one_split
    from pilothouse.methods.experiments.debiasing.mixture import gaps

    simulated = _repeat("simulated", size.repeats, size, out, progress, lambda node: {"trials": _trials(size, node)})
    mixtures = _repeat("mixture", size.mixtures, size, out, progress, lambda node: gaps(size.draws, node.numpy()))
    splits = _repeat("diabetes", size.splits, size, out, progress, lambda node: one_split(node, size.trials))
    slopes = [_slopes(run["trials"]) for run in simulated]
    found = (
        *claims.simulated_claims(slopes),
        *claims.mixture_claims(mixtures),
        *claims.split_claims(splits, "diabetes"),
    )
    asked = _questions(size, out, progress) if size.text else "not measured at this scale"
    if isinstance(asked, list):
        found += claims.split_claims(asked, "PubMedQA")
    figure = panels_figure(_panels(slopes, mixtures, splits, asked), out / "claims", title=f"Debiasing, scale {scale}")
    tables = {
        "slopes": slopes,
        "coverage": _coverage([row for run in simulated for row in run["trials"]]),
        "mixture": mixtures,
        "diabetes": splits,
        "questions": asked,
    }
    return Evidence.of("debiasing", scale, found, tables, figure.name, time.perf_counter() - started)


def _questions(size: Scale, out: Path, progress: Progress) -> list[dict[str, Any]] | str:
    """Measure PubMedQA's questions where they are, or say that they are not."""
    from pilothouse.methods.experiments.debiasing.questions import one_split

    if path := find_questions():
        return _repeat("questions", size.splits, size, out, progress, lambda node: one_split(path, node, size.trials))
    missing = f"not measured: {FILE} is not under PILOTHOUSE_DATA"
    progress.say(f"PubMedQA's questions {missing}")
    return missing


def _repeat(
    name: str, count: int, size: Scale, out: Path, progress: Progress, work: Callable[[SeedTree], Mapping[str, Any]]
) -> list[dict[str, Any]]:
    progress.phase(f"debiasing: {name}")
    runs: list[dict[str, Any]] = []
    for at in range(count):
        progress.say(f"{name}: {at + 1} of {count}")
        node = SeedTree(at) / name
        facts = {"experiment": name, "seed": at, "size": vars(size)}
        runs.append(kept(out / "runs" / f"{name}-{at}.json", facts, lambda node=node: work(node)))
    return runs


def _trials(size: Scale, seeds: SeedTree) -> list[dict[str, Any]]:
    from pilothouse.methods.experiments.debiasing.simulated import one_trial

    taus = np.linspace(-2, 2, size.effects).tolist()
    return [one_trial(tau, seeds / at, size.train, size.calibration, size.units) for at, tau in enumerate(taus)]


def _slopes(trials: Sequence[Mapping[str, float]]) -> dict[str, dict[str, Any]]:
    """By method, how its effects go with those of the same estimator on the trial's true outcomes."""
    from pilothouse.decisions.effect_slope import effect_slope

    true, tau = ([row[name] for row in trials] for name in ("true", "tau"))
    methods = [name for name in trials[0] if name not in ("tau", "true") and not name.startswith(("covers", "se"))]
    rows = {name: effect_slope(true, [row[name] for row in trials]).to_dict() for name in methods}
    against_tau = {
        f"{name}, against tau": effect_slope(tau, [row[name] for row in trials]).to_dict() for name in methods
    }
    return {**rows, **against_tau, "outcomes, against tau": effect_slope(tau, true).to_dict()}


def _coverage(trials: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """By method, the share of 95 % intervals that cover the population's effect, and the mean standard error."""
    names = [name for name in trials[0] if name.startswith(("covers", "se"))]
    return {name: float(np.mean([row[name] for row in trials])) for name in names}


def _panels(
    slopes: Sequence[Mapping[str, Mapping[str, float]]],
    mixtures: Sequence[Mapping[str, float]],
    splits: Sequence[Mapping[str, Mapping[str, float]]],
    asked: Sequence[Mapping[str, Mapping[str, float]]] | str,
) -> list[Panel]:
    def of(runs: Sequence[Mapping[str, Mapping[str, float]]], figure: str) -> dict[str, Any]:
        return {name: over([run[name][figure] for run in runs]) for name in SHOWN if name in runs[0]}

    tracked = {name: over([run[name] for run in mixtures]) for name in mixtures[0]}
    text = (
        []
        if isinstance(asked, str)
        else [Panel("PubMedQA", "slope of estimated on true effects", of(asked, "slope"), 1.0)]
    )
    return [
        Panel("Simulated trials", "slope of estimated on true effects; 1 is right", of(slopes, "slope"), 1.0),
        Panel("Simulated trials", "mean absolute error of the effect", of(slopes, "mae")),
        Panel("Three normals", "largest gap over tenths of truths; bar 0.06", tracked, 0.06),
        Panel("Diabetes", "slope of estimated on true effects; 1 is right", of(splits, "slope"), 1.0),
        *text,
    ]
