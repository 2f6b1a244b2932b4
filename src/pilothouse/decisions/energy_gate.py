"""Whether to act on a chunk of actions: its energy against the energies of training."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import numpy as np

from pilothouse.decisions.arrays import InputError, positive, same_length, vector
from pilothouse.decisions.estimators import BaseEstimator, check_is_fitted


class Advice(StrEnum):
    """What to do with a chunk."""

    ACT = "act"
    DESCEND = "descend"  #: its energy is high and steps are left: take more
    REPLAN = "replan"  #: its energy is high though all steps were taken: plan anew, or ask


class EnergyGate(BaseEstimator):
    """Flags chunks whose energy is above a quantile of the energies that training data ended at.

    An energy is no calibrated probability, and comparable only within one network, task and number of steps: refit the
    gate after each of them changes. It tells unlikely situations better than noisy observations.

    Args:
        quantile: share of training chunks that are to pass.

    Attributes:
        threshold_: the energy above which a chunk is flagged.
        n_: training chunks it was set from.

    Source: EBT-Policy, arXiv 2510.27545 (energy as a signal of uncertainty); the quantile is ours.
    """

    def __init__(self, quantile: float = 0.95) -> None:
        self.quantile = quantile

    def fit(self, energies: Any, y: Any = None) -> EnergyGate:
        """Set the threshold.

        Args:
            energies: [n] final energies on training observations, after as many steps as when acting.
            y: not used; there for scikit-learn's pipelines.

        Raises:
            InputError: the quantile is not in (0, 1), or an energy is not a finite number (the rows are named).
        """
        if not 0 < self.quantile < 1:
            raise InputError(f"quantile is a share between 0 and 1, not {self.quantile:g}: 0.95 lets 95 % pass")
        found = vector(energies, "energies")
        self.threshold_, self.n_ = float(np.quantile(found, self.quantile)), len(found)
        return self

    def predict(self, energies: Any) -> np.ndarray:
        """Return [n] whether each chunk is flagged as unlike training.

        Args:
            energies: [n] final energies.

        Raises:
            InputError: an energy is not a finite number.
        """
        check_is_fitted(self)
        return vector(energies, "energies") > self.threshold_

    def advise(self, energies: Any, steps: Any, max_steps: int) -> list[Advice]:
        """Return what to do with each chunk.

        Args:
            energies: [n] final energies.
            steps: [n] steps taken.
            max_steps: steps that may be taken in all.

        Raises:
            InputError: the columns hold something else, or differ in length.
        """
        flagged, taken = self.predict(energies), positive(steps, "steps")
        same_length({"energies": flagged, "steps": taken})
        spent = taken >= max_steps
        high = np.where(spent, Advice.REPLAN, Advice.DESCEND)
        return [Advice(str(a)) for a in np.where(flagged, high, Advice.ACT)]
