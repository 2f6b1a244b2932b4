"""Differences of weighted means: how the units of a trial make an effect, and its bootstrap over units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pilothouse.core.errors import nearest
from pilothouse.decisions.arrays import InputError, binary, probabilities, same_length, vector

CLIP = 1e-6  #: propensities are kept this far from 0 and 1
BLOCKS = 2000  #: resampled pieces: single units up to this many, random blocks of them beyond
_NODES = 4096
_FEW = 10


@dataclass(frozen=True)
class Ratio:
    """A weighted mean and its sign in a contrast: ``sign * sum(above * value) / sum(below)``.

    Args:
        sign: 1 for treated units, -1 for others.
        above: [n] what multiplies the value.
        below: [n] what is divided by.
    """

    sign: int
    above: np.ndarray
    below: np.ndarray


@dataclass(frozen=True)
class Contrast:
    """An effect as a function of the units' outcomes: a difference of weighted means.

    Args:
        name: the estimator's name.
        ratios: its means.
        doubts: what speaks against it.
    """

    name: str
    ratios: tuple[Ratio, ...]
    doubts: tuple[str, ...] = ()

    @property
    def shares(self) -> np.ndarray:
        """[n] the weight of each outcome: the effect is their sum with the outcomes."""
        return sum((r.sign * r.above / r.below.sum() for r in self.ratios), np.zeros(len(self.ratios[0].above)))

    def of(self, values: np.ndarray) -> float:
        """Return the effect on [n] outcomes."""
        return float(self.shares @ values)

    def draws(self, values: np.ndarray, rng: np.random.Generator, resamples: int) -> np.ndarray:
        """Return [resamples] the effect over resampled units (``bootstrap_ratios``)."""
        return bootstrap_ratios([(r.sign, r.above * values, r.below) for r in self.ratios], rng, resamples)

    def on_nodes(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ([m] nodes, [m] weights) so that the effect on f(values) is about ``f(nodes) @ weights``, m <= 4096.

        Args:
            values: [n] predictions; weights are shared linearly between the nodes beside them.
        """
        shares, nodes = self.shares, np.unique(values)
        if len(nodes) > _NODES:
            nodes = np.unique(np.quantile(nodes, np.linspace(0, 1, _NODES)))
        if len(nodes) == 1:
            return nodes, np.array([shares.sum()])
        left = np.clip(np.searchsorted(nodes, values, side="right") - 1, 0, len(nodes) - 2)
        share = (values - nodes[left]) / (nodes[left + 1] - nodes[left])
        size = len(nodes)
        return nodes, np.bincount(left, shares * (1 - share), size) + np.bincount(left + 1, shares * share, size)


def contrast(name: str, treatment: Any, propensity: Any = None, weights: Any = None, n: int | None = None) -> Contrast:
    """Return an estimator for a trial's units.

    Args:
        name: "diff": ``mean(v | T=1) - mean(v | T=0)``; "ht": ``mean(T v / e - (1 - T) v / (1 - e))``; "hajek": the
            same weights, divided by their own sums.
        treatment: [n] 0 or 1.
        propensity: [n] probability of treatment e; kept within [1e-6, 1 - 1e-6].
        weights: [n] weights of the units, for "hajek".
        n: units there must be.

    Raises:
        InputError: the estimator is unknown, or lacks what it needs or is given what it does not use; columns do not
            fit together; an arm has no units.
    """
    if name not in _CONTRASTS:
        raise InputError(f"unknown estimator '{name}'{nearest(name, _CONTRASTS)}")
    treated = binary(treatment, "treatment")
    if n is not None and len(treated) != n:
        raise InputError(f"'treatment' has {len(treated)} rows and 'predictions' has {n}: give one a row in both")
    arms = int(treated.sum()), int((1 - treated).sum())
    if not min(arms):
        raise InputError(f"there are {arms[0]} treated units and {arms[1]} others: an effect compares the two")
    doubts = [
        f"only {size} {what} units: standard errors by resampling are too small below about {_FEW}"
        for size, what in zip(arms, ("treated", "untreated"), strict=True)
        if size < _FEW
    ]
    e = None if propensity is None else probabilities(propensity, "propensity")
    w = None if weights is None else unit_weights(weights, treated)
    for column, what in ((e, "propensity"), (w, "weights")):
        if column is not None:
            same_length({"treatment": treated, what: column})
    if e is not None:
        extreme = int(((e < 0.01) | (e > 0.99)).sum())
        doubts += [f"{extreme} propensities are within 0.01 of 0 or 1: few units carry the effect"] if extreme else []
        e = np.clip(e, CLIP, 1 - CLIP)
    return Contrast(name, _CONTRASTS[name](treated, e, w), tuple(doubts))


def bootstrap_ratios(
    terms: Sequence[tuple[int, np.ndarray, np.ndarray]], rng: np.random.Generator, resamples: int
) -> np.ndarray:
    """Return [resamples] of ``sum of sign * sum(above) / sum(below)`` over resampled units.

    Beyond 2000 units, random blocks of equal size are resampled instead: they are exchangeable too, and the time no
    longer grows with resamples times units.

    Args:
        terms: (sign, [n] above, [n] below), each.
        rng: draws blocks and resamples.
        resamples: how many.
    """
    n = len(terms[0][1])
    blocks = min(n, BLOCKS)
    place = rng.permutation(n) % blocks
    counts = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=resamples).astype(float)
    total = np.zeros(resamples)
    with np.errstate(divide="ignore", invalid="ignore"):  # a resample without an arm tells nothing; it is left out
        for sign, above, below in terms:
            top, bottom = (counts @ np.bincount(place, side, blocks) for side in (above, below))
            total += sign * top / bottom
    return total


def _difference(t: np.ndarray, e: np.ndarray | None, w: np.ndarray | None) -> tuple[Ratio, ...]:
    if e is not None or w is not None:
        raise InputError("a difference in means uses no propensity or weights: take estimator 'hajek' (or 'ht')")
    return Ratio(1, t, t), Ratio(-1, 1 - t, 1 - t)


def _horvitz_thompson(t: np.ndarray, e: np.ndarray | None, w: np.ndarray | None) -> tuple[Ratio, ...]:
    if e is None or w is not None:
        raise InputError("estimator 'ht' needs a propensity and no weights: give the one, or take 'hajek'")
    each = np.ones(len(t))
    return Ratio(1, t / e, each), Ratio(-1, (1 - t) / (1 - e), each)


def _hajek(t: np.ndarray, e: np.ndarray | None, w: np.ndarray | None) -> tuple[Ratio, ...]:
    w = np.ones(len(t)) if w is None else w
    treated, rest = (t * w, (1 - t) * w) if e is None else (t * w / e, (1 - t) * w / (1 - e))
    return Ratio(1, treated, treated), Ratio(-1, rest, rest)


def unit_weights(given: Any, treated: np.ndarray) -> np.ndarray:
    """Return [n] weights of units, checked.

    Args:
        given: [n] at least 0.
        treated: [n] 0 or 1.

    Raises:
        InputError: one is negative (the row is named), or an arm has none above 0.
    """
    w = vector(given, "weights")
    same_length({"treatment": treated, "weights": w})
    if (w < 0).any():
        raise InputError(f"'weights' has {(w < 0).sum()} negative values, the first in row {np.argmax(w < 0) + 1}")
    if not (w[treated == 1].sum() > 0 and w[treated == 0].sum() > 0):
        raise InputError("'weights' sum to 0 in an arm: give some of its units a weight")
    return w


_Arms = Callable[[np.ndarray, "np.ndarray | None", "np.ndarray | None"], tuple[Ratio, ...]]
_CONTRASTS: dict[str, _Arms] = {"diff": _difference, "ht": _horvitz_thompson, "hajek": _hajek}
