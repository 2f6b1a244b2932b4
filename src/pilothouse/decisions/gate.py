"""The cost gate: speak when the chance of acceptance clears a threshold made of two costs and the chance of need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pilothouse.core import gates
from pilothouse.decisions.arrays import binary, like, positive, probabilities, same_length


@dataclass(frozen=True)
class CostGate:
    """Speaks iff ``p_acc >= C_FA / (C_FA + p_need C_FN)``; a probability exactly at the threshold speaks.

    Every method takes numpy arrays, lists, pandas Series or torch tensors of one length and answers in kind. The rule
    trusts both probabilities: noise in ``p_need`` moves the threshold, so look at their calibration first.

    Args:
        c_fa: cost of an offer that is not accepted; a number, or one an event.
        c_fn: cost of silence where an offer was needed and would have been accepted; a number, or one an event.

    Raises:
        InputError: a cost is not finite or not greater than 0; the rows are named.

    Source: PRISM, arXiv 2602.01532.
    """

    c_fa: Any = 1.0
    c_fn: Any = 1.0

    def __post_init__(self) -> None:
        self.costs()

    def costs(self) -> tuple[np.ndarray, np.ndarray]:
        """Return both costs, each of one row or of a row an event."""
        return positive(self.c_fa, "c_fa"), positive(self.c_fn, "c_fn")

    def tau(self, p_need: Any) -> Any:
        """Return [n] thresholds, in probability.

        Args:
            p_need: [n] chances that help is needed.

        Raises:
            InputError: a chance is NaN or outside [0, 1], or costs by event are not as many.
        """
        need = probabilities(p_need, "p_need")
        return like(p_need, gates.threshold(need, *self._for(need)))

    def margin(self, p_need: Any, p_acc: Any) -> Any:
        """Return [n] how far acceptance is above its threshold, in probability: what a router compares with delta.

        Args:
            p_need: [n] chances that help is needed.
            p_acc: [n] chances that an offer is accepted.

        Raises:
            InputError: as ``tau``, for either.
        """
        need, acc = _pair(p_need, p_acc)
        return like(p_acc, acc - gates.threshold(need, *self._for(need)))

    def decide(self, p_need: Any, p_acc: Any) -> Any:
        """Return [n] booleans: speak. Arguments and errors as for ``margin``."""
        need, acc = _pair(p_need, p_acc)
        return like(p_acc, acc >= gates.threshold(need, *self._for(need)))

    def expected_utility(self, p_need: Any, p_acc: Any) -> Any:
        """Return [n] the expected gain of speaking over silence, in cost units. Arguments and errors as ``margin``."""
        need, acc = _pair(p_need, p_acc)
        return like(p_acc, gates.utility(need, acc, *self._for(need)))

    def realised(self, shown: Any, y_need: Any, y_acc: Any) -> np.ndarray:
        """Return [n] what each event did cost: C_FA where shown and rejected, C_FN where a welcome offer was not made.

        Args:
            shown: [n] whether an offer was made, 0 or 1.
            y_need: [n] whether help was needed, 0 or 1.
            y_acc: [n] whether the offer was, or would have been, accepted, 0 or 1.

        Raises:
            InputError: something else is among them (the rows are named), or lengths differ.
        """
        spoke, need, acc = binary(shown, "shown"), binary(y_need, "y_need"), binary(y_acc, "y_acc")
        same_length({"shown": spoke, "y_need": need, "y_acc": acc})
        fa, fn = self._for(need)
        return fa * spoke * (1 - acc) + fn * (1 - spoke) * need * acc

    def _for(self, need: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        fa, fn = self.costs()
        for name, cost in (("c_fa", fa), ("c_fn", fn)):
            if len(cost) > 1:
                same_length({"p_need": need, name: cost})
        return fa, fn


def _pair(p_need: Any, p_acc: Any) -> tuple[np.ndarray, np.ndarray]:
    need, acc = probabilities(p_need, "p_need"), probabilities(p_acc, "p_acc")
    same_length({"p_need": need, "p_acc": acc})
    return need, acc
