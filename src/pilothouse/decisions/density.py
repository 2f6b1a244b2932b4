"""The score of a density known by samples: a Gaussian kernel estimate, put in a table once and read anywhere."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pilothouse.decisions.arrays import InputError

NODES = 128  #: nodes of the table a bandwidth: the table's error falls with the square of their distance
REACH = 12.0  #: bandwidths after which a kernel ends: it is 5e-32 of its peak there
PAD = 8.0  #: bandwidths that the table goes on beyond the samples
MOST_NODES = 1 << 20
_CHUNK = 1 << 18  # samples held at a time

#: Rules for the bandwidth: by the number of samples, what their standard deviation is multiplied with.
RULES = {"scott": lambda n: n**-0.2, "silverman": lambda n: (0.75 * n) ** -0.2}


@dataclass(frozen=True)
class ScoreTable:
    """d/dv log p(v) at nodes of equal distance, linear between them.

    Beyond the last node a single kernel rules, so the score goes on with the kernel's own slope, -1/bandwidth^2.

    Args:
        start: the first node.
        step: distance of nodes.
        values: [nodes] the score.
        bandwidth: standard deviation of the kernel, in the samples' unit.
        samples: how many samples there were.
    """

    start: float
    step: float
    values: np.ndarray
    bandwidth: float
    samples: int

    def __call__(self, v: np.ndarray) -> np.ndarray:
        """Return [n] the score at [n] places."""
        place = (v - self.start) / self.step
        last = len(self.values) - 1
        inside = np.clip(place, 0, last)
        left = np.minimum(inside.astype(np.int64), last - 1)
        share = inside - left
        found = self.values[left] * (1 - share) + self.values[left + 1] * share
        return found - (place - inside) * (self.step / self.bandwidth**2)

    def to_dict(self) -> dict[str, Any]:
        """Return the table for JSON; ``of`` reads it."""
        return {**asdict(self), "values": self.values.tolist()}

    @staticmethod
    def of(facts: Mapping[str, Any]) -> ScoreTable:
        """Return the table that ``to_dict`` wrote."""
        return ScoreTable(**{**facts, "values": np.array(facts["values"], dtype=float)})

    def extreme(self, score: np.ndarray) -> np.ndarray:
        """Return [n] whether a score is that of the kernel's tail (above 2 / bandwidth) rather than of the samples."""
        return np.abs(score) > 2 / self.bandwidth


def score_table(
    samples: np.ndarray, *, bandwidth: str | float = "scott", delta: float | None = None, nodes: int = NODES
) -> ScoreTable:
    """Return the score of the Gaussian kernel estimate of a density.

    Samples are shared linearly between the two nodes beside them and the kernel sums run over nodes, so that the time
    grows with samples plus nodes and not with their product. Against the direct sum over all samples the score is off
    by less than 1e-3 / bandwidth, and by less than 1e-2 / bandwidth in the gaps between isolated outliers
    (``tests/decisions/test_density.py``).

    Args:
        samples: [n] finite, not all equal.
        bandwidth: "scott" or "silverman", or a number: what the standard deviation (ddof 1) is multiplied with.
        delta: half-width of the central difference of the log density, in the samples' unit; by default
            ``max(1e-3 std, 1e-8)``.
        nodes: nodes of the table a bandwidth.

    Raises:
        InputError: the samples do not vary, a setting is not positive, or the bandwidth is too small for their range.

    Source: Scott 1992, Multivariate Density Estimation; defaults as in scipy's ``gaussian_kde`` and in the library of
    arXiv 2508.01341.
    """
    check_settings(bandwidth, delta, nodes)
    spread = float(samples.std())
    if not spread > 0:
        raise InputError("the predictions are all equal: a density needs some that differ")
    h = _factor(bandwidth, len(samples)) * spread * math.sqrt(len(samples) / (len(samples) - 1))
    delta = max(1e-3 * spread, 1e-8) if delta is None else delta
    step, low, high = h / nodes, float(samples.min()), float(samples.max())
    count = math.ceil((high - low) / step + 2 * PAD * nodes) + 2
    if count > MOST_NODES:
        raise InputError(
            f"the predictions range over {(high - low) / h:,.0f} bandwidths: look for outliers, or give a larger "
            "bandwidth"
        )
    start = low - PAD * h
    mass = _shared(samples, start, step, count)
    return ScoreTable(start, step, _differences(mass, step, h, delta), h, len(samples))


def check_settings(bandwidth: str | float, delta: float | None, nodes: int) -> None:
    """Refuse settings that no score can be estimated with.

    Args:
        bandwidth: as for ``score_table``.
        delta: as for ``score_table``; ``None`` is its default.
        nodes: as for ``score_table``.

    Raises:
        InputError: one is unknown or not positive.
    """
    if isinstance(bandwidth, str) and bandwidth not in RULES:
        raise InputError(f"bandwidth is '{bandwidth}': it is 'scott', 'silverman' or a number")
    for name, value in (("bandwidth", bandwidth), ("delta", delta), ("nodes", nodes)):
        if isinstance(value, int | float) and not (value > 0 and math.isfinite(value)):
            raise InputError(f"{name} is {value:g}: it must be greater than 0")


def _factor(bandwidth: str | float, n: int) -> float:
    return RULES[bandwidth](n) if isinstance(bandwidth, str) else float(bandwidth)


def _shared(samples: np.ndarray, start: float, step: float, count: int) -> np.ndarray:
    """[count] how many samples each node stands for."""
    mass = np.zeros(count)
    for first in range(0, len(samples), _CHUNK):
        place = (samples[first : first + _CHUNK] - start) / step
        left = place.astype(np.int64)
        share = place - left
        mass += np.bincount(left, 1 - share, minlength=count) + np.bincount(left + 1, share, minlength=count)
    return mass


def _differences(mass: np.ndarray, step: float, h: float, delta: float) -> np.ndarray:
    """[nodes] central differences of the log density; sums of positive terms alone, so that tails keep their digits."""
    reach = math.ceil((REACH * h + delta) / step)
    offsets = np.arange(-reach, reach + 1) * step
    above, below = (
        np.convolve(mass, np.exp(-0.5 * ((offsets + sign * delta) / h) ** 2))[reach : reach + len(mass)]
        for sign in (1, -1)
    )
    known = (above > 0) & (below > 0)
    score = np.zeros(len(mass))
    score[known] = (np.log(above[known]) - np.log(below[known])) / (2 * delta)
    if not known.all():  # a gap wider than two kernels: the nearest sample rules
        score[~known] = (_nearest(np.flatnonzero(mass), np.flatnonzero(~known))) * step / h**2
    return score


def _nearest(there: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Signed distance, in nodes, of the nearest node that stands for a sample."""
    right = there[np.clip(np.searchsorted(there, places), 0, len(there) - 1)]
    left = there[np.clip(np.searchsorted(there, places) - 1, 0, len(there) - 1)]
    return np.where(np.abs(left - places) <= np.abs(right - places), left, right) - places
