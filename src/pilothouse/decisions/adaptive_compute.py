"""How much computing each decision took where it takes as much as it needs, and whether it led anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pilothouse.decisions.arrays import InputError, positive


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
