"""Trials whose true effect is known: simulated ones behind a frozen network, and pseudo-trials of labelled data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pilothouse.core.errors import DataError
from pilothouse.core.seeds import SeedTree


@dataclass(frozen=True)
class Units:
    """Units of a trial.

    Args:
        features: [n, D] what a model sees.
        outcome: [n] truth.
        treated: [n] 0 or 1.
        propensity: [n] probability of treatment.
    """

    features: np.ndarray
    outcome: np.ndarray
    treated: np.ndarray
    propensity: np.ndarray


class Network:
    """A frozen random network 1-50-50-50-100 of outcomes, with ReLU and dropout that stays on.

    The dropout is what makes predictions imperfect: without it the outcome could be read off almost exactly.

    Args:
        rng: draws weights and offsets, uniform within 1 / sqrt(inputs): what PyTorch's linear layers start from.
        dropout: share of hidden units silenced, drawn for every unit of the trial.
    """

    SIZES = (1, 50, 50, 50, 100)

    def __init__(self, rng: np.random.Generator, dropout: float = 0.2) -> None:
        pairs = list(zip(self.SIZES[:-1], self.SIZES[1:], strict=True))
        ends = [1 / math.sqrt(size) for size, _ in pairs]
        self._weights = [rng.uniform(-end, end, pair) for end, pair in zip(ends, pairs, strict=True)]
        self._offsets = [rng.uniform(-end, end, after) for end, (_, after) in zip(ends, pairs, strict=True)]
        self._dropout = dropout

    def __call__(self, outcome: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return [n, 100] features of [n] outcomes."""
        hidden, last = outcome[:, None], len(self._weights) - 1
        for layer, (weight, offset) in enumerate(zip(self._weights, self._offsets, strict=True)):
            hidden = hidden @ weight + offset
            if layer < last:
                hidden = np.maximum(hidden, 0)
                hidden = hidden * (rng.random(hidden.shape) >= self._dropout) / (1 - self._dropout)
        return hidden


@dataclass(frozen=True)
class SyntheticTrial:
    """A confounded population: ``C ~ N(0,1); T ~ Bern(sigmoid(C)); Y = tau T + C + N(0,1); X = g(Y) + N(0,0.3)``.

    Features react to treatment through the outcome alone, which every correction afterwards assumes.

    Args:
        tau: the effect.
        seeds: node of the network's weights and of all draws.
        noise: standard deviation of the features' noise.

    Source: the simulations of One Map, Many Trials, arXiv 2508.01341.
    """

    tau: float
    seeds: SeedTree
    noise: float = 0.3

    def units(self, name: str, n: int, tau: float | None = None) -> Units:
        """Return fresh units.

        Args:
            name: which draw; the same name draws the same units.
            n: how many.
            tau: another effect than the trial's, for a population that a model was trained on.
        """
        rng, effect = (self.seeds / name).numpy(), self.tau if tau is None else tau
        confounder = rng.normal(size=n)
        propensity = 1 / (1 + np.exp(-confounder))
        treated = (rng.random(n) < propensity).astype(float)
        outcome = effect * treated + confounder + rng.normal(size=n)
        seen = Network((self.seeds / "network").numpy())(outcome, rng)
        return Units(seen + self.noise * rng.normal(size=seen.shape), outcome, treated, propensity)


@dataclass(frozen=True)
class PseudoTrials:
    """Trials made of any labelled set: treatment goes with the truth, ``T = 1[a z + N(0,1) > median]``.

    Args:
        outcome: [n] truths, not all equal; z is their standardised form, a ~ U(-1, 1).
        seeds: node of the draws.

    Raises:
        DataError: the truths do not vary.
    """

    outcome: np.ndarray
    seeds: SeedTree

    def __post_init__(self) -> None:
        if not np.ptp(self.outcome) > 0:
            raise DataError("pseudo-trials need truths that differ")

    def treatment(self, trial: int) -> np.ndarray:
        """Return [n] the treatment of a trial: half of the units."""
        rng = (self.seeds / trial).numpy()
        z = (self.outcome - self.outcome.mean()) / self.outcome.std()
        latent = rng.uniform(-1, 1) * z + rng.normal(size=len(z))
        return (latent > np.median(latent)).astype(float)

    def effects(
        self, count: int, effect: Callable[[np.ndarray, np.ndarray], float], **values: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Return by name [count] effects of the first ``count`` trials, "true" being those on the truths.

        Args:
            count: how many trials.
            effect: of ([n] outcomes, [n] treatment).
            values: [n] outcomes to estimate from, by name.
        """
        columns = {"true": self.outcome, **values}
        trials = [self.treatment(trial) for trial in range(count)]
        return {name: np.array([effect(column, t) for t in trials]) for name, column in columns.items()}
