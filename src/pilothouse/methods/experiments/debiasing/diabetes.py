"""Real data: ridge regression on scikit-learn's diabetes set, and pseudo-trials of its held-out patients."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.contrasts import contrast
from pilothouse.decisions.correction import CorrectionWarning
from pilothouse.decisions.effect_slope import effect_slope
from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.tweedie import TweedieCorrection
from pilothouse.tasks.trials import PseudoTrials

TRAIN, CALIBRATION = 180, 120  #: the remaining 142 patients are the trial's


def one_split(seeds: SeedTree, trials: int) -> dict[str, dict[str, Any]]:
    """Return by method how its effects go with the true ones, over the pseudo-trials of one split.

    Args:
        seeds: node of the split and of the trials.
        trials: how many.
    """
    x, y = (np.asarray(column) for column in load_diabetes(return_X_y=True))
    order = (seeds / "split").numpy().permutation(len(y))
    train, held, rest = np.split(order, [TRAIN, TRAIN + CALIBRATION])
    model = make_pipeline(StandardScaler(), Ridge()).fit(x[train], y[train])
    pairs = model.predict(x[held]), y[held]
    return corrected_effects(model.predict(x[rest]), y[rest], pairs, seeds / "trials", trials)


def corrected_effects(
    pred: np.ndarray, y: np.ndarray, pairs: tuple[np.ndarray, np.ndarray], seeds: SeedTree, trials: int
) -> dict[str, dict[str, Any]]:
    """Return by method how effects on predicted outcomes go with those on true ones, over pseudo-trials.

    Args:
        pred: [n] predictions of the trial's units.
        y: [n] their true outcomes.
        pairs: predictions and true outcomes of the calibration split.
        seeds: node of the trials.
        trials: how many.
    """
    columns = {"naive": pred}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorrectionWarning)
        columns["linear"] = LinearCalibration().fit(*pairs).transform(pred)
        columns["tweedie"] = TweedieCorrection().fit(*pairs).transform(pred)
        columns["tweedie, density of the trial"] = TweedieCorrection(density="target").fit(*pairs).transform(pred)
    found = PseudoTrials(y, seeds).effects(trials, lambda v, t: contrast("diff", t).of(v), **columns)
    return {name: effect_slope(found["true"], found[name]).to_dict() for name in columns}
