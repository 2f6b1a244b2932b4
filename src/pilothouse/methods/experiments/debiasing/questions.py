"""Real text: whether experts say yes, predicted from a question and its conclusion, as the outcome of pseudo-trials."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline

from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.debiasing.diabetes import corrected_effects
from pilothouse.methods.experiments.pubmedqa import read_questions

TRAIN, CALIBRATION = 0.5, 0.25  #: the remaining quarter of the questions is the trial's


def one_split(path: Path, seeds: SeedTree, trials: int) -> dict[str, dict[str, Any]]:
    """Return by method how its effects go with the true ones, over the pseudo-trials of one split.

    Args:
        path: the questions' file.
        seeds: node of the split and of the trials.
        trials: how many.

    Raises:
        DataError: the file cannot be read.
    """
    rows = read_questions(path)
    texts = np.array([f"{row.question} {row.conclusion}" for row in rows], dtype=object)
    y = np.array([float(row.decision == "yes") for row in rows])
    order = (seeds / "split").numpy().permutation(len(y))
    first, second = int(TRAIN * len(y)), int((TRAIN + CALIBRATION) * len(y))
    train, held, rest = np.split(order, [first, second])
    words = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), min_df=2)
    model = make_pipeline(words, Ridge()).fit(texts[train], y[train])
    pairs = model.predict(texts[held]), y[held]
    return corrected_effects(model.predict(texts[rest]), y[rest], pairs, seeds / "trials", trials)
