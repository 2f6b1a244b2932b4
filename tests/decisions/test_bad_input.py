"""What cannot be decided or corrected is refused with the rows named, alike for numpy, pandas and torch."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("sklearn")
pytest.importorskip("pandas")

import pandas as pd

from pilothouse.core.errors import PilothouseError
from pilothouse.decisions.calibration import calibration
from pilothouse.decisions.compare_correctors import compare_correctors
from pilothouse.decisions.correction import IdentityCorrection
from pilothouse.decisions.effect_slope import effect_slope
from pilothouse.decisions.gate import CostGate
from pilothouse.decisions.linear_calibration import LinearCalibration
from pilothouse.decisions.prism_gate import PrismGate
from pilothouse.decisions.router import MarginRouter
from pilothouse.decisions.selection import rdc_score
from pilothouse.decisions.sweep import gate_sweep
from pilothouse.decisions.temperature import TemperatureScaler
from pilothouse.decisions.tweedie import TweedieCorrection

Make = Callable[[Any], Any]
RNG = np.random.default_rng(0)
P = RNG.uniform(0.05, 0.95, 40)
Y = (RNG.random(40) < P).astype(float)
TRUE = RNG.standard_normal(40)
PRED = TRUE + 0.3 * RNG.standard_normal(40)
ARM = np.resize([0.0, 1.0], 40)

#: An index of its own must not move the rows that a message names.
KINDS: dict[str, Make] = {
    "numpy": np.array,
    "pandas": lambda values: pd.Series(values, index=range(100, 100 + len(values))),
    "torch": lambda values: torch.tensor(values, dtype=torch.float32),
}


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest) -> Make:
    return KINDS[request.param]


def spoilt(values: np.ndarray, by: float) -> np.ndarray:
    """The values with the fourth replaced."""
    return np.where(np.arange(len(values)) == 3, by, values)


def refused(says: str, work: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as found:
        work()
    assert isinstance(found.value, PilothouseError)


CHANCES: dict[str, Callable[[Make, Any], Any]] = {
    "tau": lambda make, bad: CostGate(1, 3).tau(bad),
    "decide": lambda make, bad: CostGate(1, 3).decide(make(P), bad),
    "utility": lambda make, bad: CostGate(1, 3).expected_utility(bad, make(P)),
    "route": lambda make, bad: MarginRouter(lambda X: (X, X), None, CostGate(1, 1), 0.1)(bad),
    "prism": lambda make, bad: PrismGate(fast=lambda X: (X, X)).decide(bad),
    "prism calibrated": lambda make, bad: PrismGate(fast=lambda X: (X, X)).calibrate(bad, make(Y)),
    "temperature": lambda make, bad: TemperatureScaler().fit(bad, make(Y)),
    "scaled": lambda make, bad: TemperatureScaler().fit(make(P), make(Y)).transform(bad),
    "calibration": lambda make, bad: calibration(bad, make(Y)),
    "sweep": lambda make, bad: gate_sweep(make(P), bad, make(Y), make(Y), [(1, 1)]),
    "selection": lambda make, bad: rdc_score(make(Y), make(Y), bad, make(P)),
}


@pytest.mark.parametrize("what", CHANCES)
@pytest.mark.parametrize(
    ("by", "says"),
    [
        (np.nan, "has 1 values that are NaN or infinite, in row 4"),
        (-np.inf, "has 1 values that are NaN or infinite, in row 4"),
        (1.5, "has 1 values outside [0, 1], in row 4 (the first is 1.5)"),
        (-0.25, "has 1 values outside [0, 1], in row 4 (the first is -0.25)"),
    ],
)
def test_chances(make: Make, what: str, by: float, says: str) -> None:
    refused(says, lambda: CHANCES[what](make, make(spoilt(P, by))))


@pytest.mark.parametrize(
    ("cost", "says"), [(0.0, "'c_fa' is 0"), (-2.0, "'c_fa' is -2"), (np.nan, "'c_fa' has 1 values")]
)
def test_costs(make: Make, cost: float, says: str) -> None:
    chances = make(P)
    for c_fa, where in ((cost, ""), (make(spoilt(np.ones(40), cost)), "in row 4")):
        with pytest.raises(PilothouseError, match=f"{re.escape(says)}.*{where}"):
            CostGate(c_fa, 3).decide(chances, chances)
    refused(says, lambda: gate_sweep(chances, chances, make(Y), make(Y), [(1, 1), (cost, 1)]))
    refused(says, lambda: PrismGate(fast=lambda X: (X, X), c_fa=cost).decide(chances))


def test_calibration_sets_that_are_too_small_or_without_variance(make: Make) -> None:
    refused("5 samples is too small: give at least 10", lambda: TemperatureScaler().fit(make(P[:5]), make(Y[:5])))
    refused("are all alike", lambda: TemperatureScaler().fit(make(np.full(40, 0.3)), make(Y)))
    refused("all of one class", lambda: TemperatureScaler().fit(make(P), make(np.ones(40))))
    gate = PrismGate(fast=lambda X: (X, X))
    refused("too small", lambda: gate.calibrate(make(P[:4]), make(np.array([0.0, 1, 0, 1]))))
    refused("are all alike", lambda: gate.calibrate(make(np.full(40, 0.3)), make(Y)))
    refused("all of one class", lambda: gate.calibrate(make(P), make(np.ones(40))))
    refused("Input y contains NaN, in row 4", lambda: gate.calibrate(make(P), make(spoilt(Y, np.nan))))
    refused("8 pairs in 5 folds", lambda: compare_correctors(make(PRED[:8]), make(TRUE[:8])))
    refused("without variance", lambda: compare_correctors(make(np.ones(40)), make(TRUE)))


@pytest.mark.parametrize("corrector", [LinearCalibration, TweedieCorrection, IdentityCorrection])
@pytest.mark.filterwarnings("ignore::pilothouse.decisions.correction.CorrectionWarning")
def test_corrections(make: Make, corrector: Any) -> None:
    pred, true, arm = make(PRED), make(TRUE), make(ARM)
    fitted = corrector().fit(pred, true)
    for by in (np.nan, np.inf):
        bad = make(spoilt(PRED, by))
        refused(
            "'predictions' has 1 values that are NaN or infinite, in row 4", lambda bad=bad: corrector().fit(bad, true)
        )
        refused("'truths' has 1 values", lambda bad=bad: corrector().fit(pred, bad))
        refused("in row 4", lambda bad=bad: fitted.transform(bad))
        refused("in row 4", lambda bad=bad: fitted.effect(bad, arm))
        refused("in row 4", lambda bad=bad: compare_correctors(bad, true))
        refused("in row 4", lambda bad=bad: effect_slope(bad, true))
    refused("2 samples: give at least 3", lambda: corrector().fit(make(PRED[:2]), make(TRUE[:2])))
    refused("40 treated units and 0 others", lambda: fitted.effect(pred, make(np.ones(40))))
    refused("outside [0, 1], in row 4", lambda: fitted.effect(pred, arm, make(spoilt(P, 1.2)), estimator="ht"))
    refused("negative values, the first in row 4", lambda: fitted.effect(pred, arm, weights=make(spoilt(P, -1))))
    if corrector is not IdentityCorrection:  # which learns nothing and divides by nothing
        refused("all 40 truths are 1: without variance", lambda: corrector().fit(pred, make(np.ones(40))))
        refused("all 40 predictions are 1: without variance", lambda: corrector().fit(make(np.ones(40)), true))
