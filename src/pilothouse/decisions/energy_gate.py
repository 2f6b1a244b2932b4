"""Whether to act on a chunk of actions: its energy against the energies of training."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True)
class AdaptiveCompute:
    """How much computing chunks took, and whether it led down.

    Args:
        chunks: how many there were.
        mean_steps: steps a chunk, mean.
        quartiles: 25 %, 50 % and 75 % of the chunks took at most as many steps.
        at_limit: share that took all steps allowed, so that nothing says that they had arrived.
        saved: share of the allowed steps that was not taken.
        fell: share whose energy was lower at the last step than at the first; chunks of one step do not count, NaN if
            there are no others.
    """

    chunks: int
    mean_steps: float
    quartiles: tuple[float, float, float]
    at_limit: float
    saved: float
    fell: float


def adaptive_compute(steps: Any, energies: Any, max_steps: int) -> AdaptiveCompute:
    """Return the statistics of descents.

    Args:
        steps: [n] steps taken.
        energies: [max_steps, n] energy at each step; NaN, or anything else, after a chunk's last.
        max_steps: steps that were allowed.

    Raises:
        InputError: the shapes do not fit together, or a count is not positive.
    """
    taken = positive(steps, "steps").astype(int)
    table = np.asarray(energies, dtype=float)
    if table.ndim != 2 or table.shape[1] != len(taken) or len(table) < taken.max() or taken.max() > max_steps:
        raise InputError(
            f"energies of shape {table.shape} do not fit {len(taken)} chunks of up to {taken.max()} steps, of "
            f"{max_steps} allowed: give a row a step and a column a chunk"
        )
    last = table[taken - 1, np.arange(len(taken))]
    walked = taken > 1
    low, middle, high = np.quantile(taken, [0.25, 0.5, 0.75]).tolist()
    return AdaptiveCompute(
        chunks=len(taken),
        mean_steps=float(taken.mean()),
        quartiles=(low, middle, high),
        at_limit=float((taken == max_steps).mean()),
        saved=float(1 - taken.mean() / max_steps),
        fell=float((last < table[0])[walked].mean()) if walked.any() else float("nan"),
    )
