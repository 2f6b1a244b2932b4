"""Whether probabilities mean what they say: reliability curve, expected calibration error, Brier score."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pilothouse.decisions.arrays import InputError, binary, probabilities, same_length

BINS = 10  #: of equal width, as the literature's tables have it


@dataclass(frozen=True)
class Reliability:
    """A reliability curve: what was said and what came true, bin by bin of [0, 1].

    Args:
        edges: [bins + 1] ends of the bins; a probability on an edge falls into the upper bin, 1 into the last.
        count: [bins] probabilities in each bin.
        said: [bins] their mean; NaN in an empty bin.
        came: [bins] how many labels were 1.
    """

    edges: np.ndarray
    count: np.ndarray
    said: np.ndarray
    came: np.ndarray

    @property
    def rate(self) -> np.ndarray:
        """[bins] share of labels that were 1; NaN in an empty bin."""
        return _ratio(self.came, self.count)

    @property
    def ece(self) -> float:
        """Expected calibration error: mean over all rows of the gap between what their bin said and what came."""
        gaps = np.where(self.count > 0, np.abs(self.said - self.rate), 0.0)
        return float((self.count * gaps).sum() / self.count.sum())

    def points(self) -> list[tuple[float, int, int]]:
        """Return (mean probability, labels that were 1, rows) of each bin that is not empty, for a figure."""
        found = zip(self.said.tolist(), self.came.tolist(), self.count.tolist(), strict=True)
        return [(said, int(came), int(count)) for said, came, count in found if count]


@dataclass(frozen=True)
class Calibration:
    """How good probabilities are, in three figures; lower is better in each.

    Args:
        ece: expected calibration error.
        brier: mean squared error of the probability.
        nll: mean negative log-likelihood, in nats.
        n: rows.
    """

    ece: float
    brier: float
    nll: float
    n: int


def reliability(p: Any, y: Any, bins: int = BINS) -> Reliability:
    """Return the reliability curve of probabilities.

    Args:
        p: [n] probabilities.
        y: [n] labels, 0 or 1.
        bins: how many bins of equal width.

    Raises:
        InputError: something is not a probability or a label (the rows are named), or there are no bins.

    Source: Murphy & Winkler 1977; Guo et al. 2017, arXiv 1706.04599, equation 3 for the ECE.
    """
    if bins < 1:
        raise InputError(f"bins counts from 1, not {bins}")
    said, came = _pair(p, y)
    places = np.minimum((said * bins).astype(int), bins - 1)
    count = np.bincount(places, minlength=bins)
    sums = np.bincount(places, weights=said, minlength=bins)
    hits = np.bincount(places, weights=came, minlength=bins)
    return Reliability(np.linspace(0, 1, bins + 1), count, _ratio(sums, count), hits.astype(int))


def ece(p: Any, y: Any, bins: int = BINS) -> float:
    """Return the expected calibration error; arguments, errors and source as for ``reliability``."""
    return reliability(p, y, bins).ece


def brier(p: Any, y: Any) -> float:
    """Return the mean squared error of probabilities (Brier 1950); arguments and errors as for ``reliability``."""
    said, came = _pair(p, y)
    return float(((said - came) ** 2).mean())


def nll(p: Any, y: Any) -> float:
    """Return the mean negative log-likelihood, in nats; infinite where a certainty was wrong. Else as ``brier``."""
    said, came = _pair(p, y)
    true = np.where(came == 1, said, 1 - said)
    return math.inf if (true == 0).any() else float(-np.log(true).mean())


def calibration(p: Any, y: Any, bins: int = BINS) -> Calibration:
    """Return ECE, Brier score and likelihood of probabilities; arguments and errors as for ``reliability``."""
    return Calibration(ece(p, y, bins), brier(p, y), nll(p, y), len(_pair(p, y)[0]))


def _pair(p: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    said, came = probabilities(p, "p"), binary(y, "y")
    same_length({"p": said, "y": came})
    return said, came


def _ratio(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)
