"""PubMedQA: answer a question or leave it to an expert, by a chance of being right that is read off real text.

The offer is the answer that a fast model thinks likeliest; it is accepted if the experts gave it too. An answer that is
right is always needed, so the chance of need is 1 and the gate has one threshold, C_FA / (C_FA + C_FN). The fast model
reads the question and the abstract without its conclusion, the slow one the question and the conclusion.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.calibration import calibration
from pilothouse.methods.experiments.prism.stream import arms
from pilothouse.methods.experiments.prism.texts import FOLDS
from pilothouse.methods.experiments.pubmedqa import read_questions

ANSWER_COSTS = ((1.0, 1.0), (2.0, 1.0), (3.0, 1.0))  #: a wrong answer against one that was left to an expert


def answers(path: Path, seed: int) -> dict[str, Any]:
    """Return calibration of the chances before and after a temperature, and costs of every way to decide.

    Every question is decided by models of other folds; a quarter of each training part is for the temperatures.

    Args:
        path: the questions' file.
        seed: root of the folds and draws.

    Raises:
        DataError: the file cannot be read.
    """
    from sklearn.model_selection import StratifiedKFold

    from pilothouse.decisions.temperature import TemperatureScaler

    rows, seeds = read_questions(path), SeedTree(seed) / "prism-answers"
    labels = np.array([row.decision for row in rows])
    texts = {
        "fast": np.array([f"{row.question} {row.abstract}" for row in rows], dtype=object),
        "slow": np.array([f"{row.question} {row.conclusion}" for row in rows], dtype=object),
    }
    raw, tuned = ({kind: np.full(len(rows), np.nan) for kind in texts} for _ in range(2))
    offered, better = np.empty_like(labels), np.empty_like(labels)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=(seeds / "folds").integer() % 2**32)
    for fold, (train, test) in enumerate(folds.split(rows, labels)):
        order = (seeds / fold).numpy().permutation(train)
        aside, fit = order[: len(order) // 4], order[len(order) // 4 :]
        judged = np.concatenate([aside, test])
        chances = {kind: _chances(texts[kind], labels, fit, judged) for kind in texts}
        classes = np.unique(labels[fit])
        offers = chances["fast"].argmax(axis=1)  # both estimates are asked about the one answer that would be shown
        right = classes[offers] == labels[judged]
        offered[test], better[test] = (
            classes[offers[len(aside) :]],
            classes[chances["slow"].argmax(axis=1)[len(aside) :]],
        )
        for kind, found in chances.items():
            p = found[np.arange(len(judged)), offers]
            scaler = TemperatureScaler().fit(p[: len(aside)], right[: len(aside)])
            raw[kind][test], tuned[kind][test] = p[len(aside) :], scaler.transform(p[len(aside) :])
    right, need = (offered == labels).astype(float), np.ones(len(rows))
    table: dict[str, Any] = {
        "questions": len(rows),
        "right, fast": float(right.mean()),
        "right, slow": float((better == labels).mean()),
    }
    for kind in texts:
        for when, p in (("before", raw[kind]), ("after", tuned[kind])):
            found = calibration(p, right)
            table |= {f"ECE {kind}, {when}": found.ece, f"Brier {kind}, {when}": found.brier}
    pairs = [(need, tuned[kind]) for kind in texts]
    return table | {"costs": arms(pairs[0], pairs[1], (need, right), ANSWER_COSTS, (seeds / "random").numpy())}


def _chances(texts: np.ndarray, labels: np.ndarray, fit: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return [n, 3] chances of each decision for the texts asked about, by TF-IDF and logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    model = make_pipeline(words, LogisticRegression(C=10, max_iter=500)).fit(texts[fit], labels[fit])
    return model.predict_proba(texts[asked])
