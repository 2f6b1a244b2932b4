"""Simulated trials: a model that sees features of the outcome, a calibration split, and effects from -2 to 2."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pilothouse.core.seeds import SeedTree
from pilothouse.decisions.contrasts import contrast
from pilothouse.decisions.correction import CorrectionWarning
from pilothouse.decisions.effects import ppi_effect
from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.tweedie import TweedieCorrection
from pilothouse.objectives.quintile_bias import QuintileBiasMSE
from pilothouse.tasks.trials import SyntheticTrial, Units

LABELLED = 100  #: fresh labels that the prediction-powered estimate gets in every trial
BIAS_WEIGHT = 15.0
RESAMPLES = 60  #: of the calibration pairs, for the intervals
#: Early stopping and weight decay, so that predictions are calibrated: what all corrections by residuals assume.
MODEL = {"hidden_layer_sizes": (32,), "early_stopping": True, "alpha": 10.0, "max_iter": 200}


def one_trial(tau: float, seeds: SeedTree, train: int, calibration: int, units: int) -> dict[str, Any]:
    """Return by name the effects that a trial's estimates give, and whether intervals cover the true one.

    Args:
        tau: the population's effect.
        seeds: node of everything drawn.
        train: units to train on.
        calibration: units of the calibration split.
        units: units of the trial.
    """
    trial = SyntheticTrial(tau, seeds)
    known, held, fresh = (
        trial.units("train", train),
        trial.units("calibration", calibration),
        trial.units("trial", units),
    )
    found = contrast("ht", fresh.treated, fresh.propensity)
    model = _fitted(known, seeds / "model")
    pred = model.predict(fresh.features)
    effects = {"tau": tau, "true": found.of(fresh.outcome), "naive": found.of(pred)}
    pairs = (model.predict(held.features), held.outcome)
    effects |= _corrected(pairs, pred, fresh, effects)
    effects["ppi"] = _powered(pred, fresh, (seeds / "labels").numpy())
    effects["ratledge"] = found.of(_ratledge(known, fresh, seeds / "ratledge"))
    blind = trial.units("no effect", train, tau=0.0), trial.units("no effect, held out", calibration, tau=0.0)
    other = _fitted(blind[0], seeds / "other model")
    pred, pairs = other.predict(fresh.features), (other.predict(blind[1].features), blind[1].outcome)
    effects["naive, model of no effect"] = found.of(pred)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorrectionWarning)
        for name, corrector in (("linear", LinearCalibration()), ("tweedie", TweedieCorrection())):
            effects[f"{name}, model of no effect"] = found.of(corrector.fit(*pairs).transform(pred))
    return effects


def _corrected(
    pairs: tuple[np.ndarray, np.ndarray], pred: np.ndarray, fresh: Units, effects: dict[str, Any]
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    correctors = {
        "linear": LinearCalibration(),
        "tweedie": TweedieCorrection(),
        "tweedie, density of the trial": TweedieCorrection(density="target"),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CorrectionWarning)
        for name, corrector in correctors.items():
            effect = corrector.fit(*pairs).effect(
                pred, fresh.treated, fresh.propensity, None, "ht", calibration=pairs, calibration_resamples=RESAMPLES
            )
            rows[name] = effect.estimate
            rows[f"covers: {name}"] = float(effect.low <= effects["tau"] <= effect.high)
            rows[f"se: {name}"] = effect.se
    return rows


def _powered(pred: np.ndarray, fresh: Units, rng: np.random.Generator) -> float:
    labels = np.full(len(pred), np.nan)
    shown = rng.choice(len(pred), min(LABELLED, len(pred) // 2), replace=False)
    labels[shown] = fresh.outcome[shown]
    weights = np.where(fresh.treated == 1, 1 / fresh.propensity, 1 / (1 - fresh.propensity))
    return ppi_effect(pred, fresh.treated, labels, weights, resamples=2, rng=rng).estimate


def _fitted(units: Units, seeds: SeedTree) -> Any:
    model = MLPRegressor(**MODEL, random_state=seeds.integer() % 2**32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make_pipeline(StandardScaler(), model).fit(units.features, units.outcome)


def _ratledge(known: Units, fresh: Units, seeds: SeedTree, epochs: int = 60, batch: int = 200) -> np.ndarray:
    """Predictions of a network of the same shape trained under the loss that punishes bias by fifths."""
    middle, spread = known.features.mean(0), known.features.std(0)
    x, shown = (torch.tensor((u.features - middle) / spread, dtype=torch.float32) for u in (known, fresh))
    y = torch.tensor(known.outcome, dtype=torch.float32)
    rng = seeds.torch()
    sizes = ((x.shape[1], 32), (32, 1))
    weights = [(torch.randn(pair, generator=rng) * (2 / pair[0]) ** 0.5).requires_grad_() for pair in sizes]
    offsets = [torch.zeros(pair[1], requires_grad=True) for pair in sizes]
    loss, optimiser = QuintileBiasMSE(y, BIAS_WEIGHT), torch.optim.AdamW([*weights, *offsets], 3e-3, weight_decay=1.0)

    def predicted(rows: torch.Tensor) -> torch.Tensor:
        return ((rows @ weights[0] + offsets[0]).relu() @ weights[1] + offsets[1])[:, 0]

    for _ in range(epochs):
        for rows in torch.randperm(len(x), generator=rng).split(batch):
            optimiser.zero_grad()
            loss(predicted(x[rows]), y[rows]).backward()
            optimiser.step()
    return predicted(shown).detach().double().numpy()
