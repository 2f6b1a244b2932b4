"""Part C and an extra: chances from real text, by TF-IDF and logistic regression, and what the gate makes of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pilothouse.core.errors import DataError
from pilothouse.core.gates import threshold
from pilothouse.decisions.calibration import ece
from pilothouse.decisions.gate import CostGate
from pilothouse.methods.experiments.measured import find_data
from pilothouse.reports.statistics import auc
from pilothouse.tasks.proactive_data import read_judged

BENCH_COSTS = ((1.0, 3.0), (1.0, 5.0))
MODERATION_COSTS = ((1.0, 1.0), (1.0, 3.0), (3.0, 1.0))
BENCH_FILE, MODERATION_FILE = "train_data.jsonl", "samples-1680.jsonl.gz"
LABELS = ("S", "H", "V", "HR", "SH")  #: sexual, hateful, violent, harassment, self-harm
FOLDS, DELTA = 5, 0.1

Pair = tuple[np.ndarray, np.ndarray]


def find_bench() -> Path | None:
    """Return the folder of ProactiveBench's reward data under ``PILOTHOUSE_DATA``; ``None`` if it is not there."""
    path = find_data(f"**/reward_data/{BENCH_FILE}")
    return path.parent if path else None


def find_moderation() -> Path | None:
    """Return the moderation samples under ``PILOTHOUSE_DATA``; ``None`` if they are not there."""
    return find_data(f"**/{MODERATION_FILE}")


def bench(path: Path, seed: int = 0) -> dict[str, Any]:
    """Return costs of every way to decide about ProactiveBench's offers, each trace decided by models of the others.

    Args:
        path: the reward data, a file or its folder.
        seed: seed of the split.

    Raises:
        DataError: the data cannot be read, or hold too few traces.
    """
    from sklearn.model_selection import GroupKFold

    rows = [row for row in read_judged(path) if row.offer is not None]
    traces = np.array([row.trace for row in rows])
    if len(set(traces)) < FOLDS:
        raise DataError(f"'{path}' has {len(set(traces))} traces with offers: {FOLDS} are needed to hold some out")
    events = np.array([row.events for row in rows], dtype=object)
    offers = np.array([f"{row.events}\n{row.offer}" for row in rows], dtype=object)
    y_need, y_acc = (
        np.array(column, dtype=float) for column in zip(*[(r.need, r.accepted) for r in rows], strict=True)
    )
    chances = np.full((2, len(rows)), np.nan)
    for fold, (train, test) in enumerate(GroupKFold(FOLDS).split(events, groups=traces)):
        kept = np.random.default_rng((seed, fold)).permutation(sorted(set(traces[train])))
        aside = np.isin(traces[train], kept[: max(1, len(kept) // 4)])
        for at, (texts, y) in enumerate(((events, y_need), (offers, y_acc))):
            chances[at, test] = _calibrated(texts, y, train[~aside], train[aside], test)
    found = {
        "rows": len(rows),
        "traces": len(set(traces)),
        "AUC need": _auc(chances[0], y_need),
        "AUC accept": _auc(chances[1], y_acc),
    }
    return found | _arms((chances[0], chances[1]), None, (y_need, y_acc), BENCH_COSTS)


def moderation(path: Path, seed: int = 0) -> dict[str, Any]:
    """Return costs of flagging prompts by the likeliest category: needed if any applies, accepted if that one does.

    Only prompts with a label for every category count. Fast is a small bag of words, slow one of words and characters.

    Args:
        path: the samples, gzipped JSON lines.
        seed: seed of the split.

    Raises:
        DataError: the file cannot be read.
    """
    from sklearn.model_selection import KFold

    texts, labels = _labelled(path)
    flagged = labels.max(axis=1)
    found: dict[str, Any] = {"rows": len(texts), "flagged": float(flagged.mean())}
    pairs: dict[str, Pair] = {}
    every, offered = np.arange(len(texts)), np.zeros(len(texts), dtype=int)
    for kind in ("fast", "slow"):
        chances = np.full((1 + len(LABELS), len(texts)), np.nan)
        for fold, (train, test) in enumerate(KFold(FOLDS, shuffle=True, random_state=seed).split(texts)):
            order = np.random.default_rng((seed, fold)).permutation(train)
            aside, fit = order[: len(order) // 4], order[len(order) // 4 :]
            for at, y in enumerate((flagged, *labels.T)):
                chances[at, test] = _calibrated(texts, y, fit, aside, test, kind)
        if kind == "fast":  # both estimates are asked about one candidate, the fast one's: it is what would be shown
            offered = chances[1:].argmax(axis=0)
        pairs[kind] = (chances[0], chances[1:][offered, every])
        for name, p, y in (("need", chances[0], flagged), ("accept", pairs[kind][1], labels[every, offered])):
            found |= {f"ECE {name}, {kind}": ece(p, y), f"AUC {name}, {kind}": _auc(p, y)}
    return found | _arms(pairs["fast"], pairs["slow"], (flagged, labels[every, offered]), MODERATION_COSTS)


def _arms(fast: Pair, slow: Pair | None, labels: Pair, costs: Sequence[tuple[float, float]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for c_fa, c_fn in costs:
        gate, n = CostGate(c_fa, c_fn), len(fast[0])
        near = np.abs(gate.margin(*fast)) <= DELTA
        speak = {
            "always": np.ones(n),
            "never": np.zeros(n),
            "fixed 0.5": fast[1] >= 0.5,
            "accept only": fast[1] >= threshold(1.0, c_fa, c_fn),
            "dual": gate.decide(*fast),
        }
        if slow is not None:
            mixed = [np.where(near, better, quick) for quick, better in zip(fast, slow, strict=True)]
            speak |= {"margin": gate.decide(*mixed), "slow": gate.decide(*slow)}
        figures = {arm: float(gate.realised(chosen, *labels).mean()) for arm, chosen in speak.items()}
        found[f"{c_fa:g}:{c_fn:g}"] = figures | ({"slow share": float(near.mean())} if slow is not None else {})
    return found


def _auc(p: np.ndarray, y: np.ndarray) -> float:
    return auc(p[y == 1].tolist(), p[y == 0].tolist())


def _calibrated(
    texts: np.ndarray, y: np.ndarray, fit: np.ndarray, aside: np.ndarray, test: np.ndarray, kind: str = "fast"
) -> np.ndarray:
    """Return chances of the test texts: fitted to ``fit``, with a temperature from ``aside`` where that tells one."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    from pilothouse.decisions.temperature import TemperatureScaler

    model = make_pipeline(_words(kind), LogisticRegression(C=10, max_iter=500)).fit(texts[fit], y[fit])
    chances = model.predict_proba(texts[test])[:, 1]
    if y[aside].min() == y[aside].max():
        return chances
    return TemperatureScaler().fit(model.predict_proba(texts[aside])[:, 1], y[aside]).transform(chances)


def _words(kind: str) -> Any:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    words = TfidfVectorizer(sublinear_tf=True, max_features=500 if kind == "fast" else 20_000)
    if kind == "fast":
        return words
    return make_union(words, TfidfVectorizer(sublinear_tf=True, analyzer="char_wb", ngram_range=(2, 5), min_df=2))


def _labelled(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the texts and [n, 5] labels of samples that have all five."""
    try:
        with gzip.open(path, "rt", encoding="utf-8") as stream:
            rows: list[Mapping[str, Any]] = [json.loads(line) for line in stream if line.strip()]
        kept = [row for row in rows if all(label in row for label in LABELS)]
        texts = np.array([str(row["prompt"]) for row in kept], dtype=object)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot read the moderation samples in '{path}': {error}") from None
    return texts, np.array([[float(row[label]) for label in LABELS] for row in kept])
