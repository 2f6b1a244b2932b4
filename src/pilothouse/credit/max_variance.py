"""Max-variance down-sampling: of many rollouts, train on those whose credit differs most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field, PrivateAttr
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Select
from pilothouse.credit.schedule import LinearSchedule, Share

TINY = 1e-12  #: credit at or below it teaches nothing


@dataclass(frozen=True)
class Subset:
    """Chosen rows.

    Args:
        rows: indices, ascending.
        degenerate: True when all values it was chosen from are equal, so that any other rows would do as well.
    """

    rows: Int[Tensor, " S"]
    degenerate: bool


def max_variance_subset(
    values: Float[Tensor, " M"],
    n: int,
    groups: Int[Tensor, " M"] | None = None,
    generator: torch.Generator | None = None,
) -> Subset:
    """Return the n values of largest population variance: the i smallest and the n - i largest, for the best i.

    The best i is found with prefix sums after sorting. Of splits with equal variance the one farther from 0 is taken.

    Args:
        values: [M] what should differ, such as advantages.
        n: values to choose; of each group, if groups are given.
        groups: [M] group of each value; the choice is then made in each group apart.
        generator: chooses among equal values at random; without it the choice is a fixed one.

    Raises:
        ConfigError: n is less than 1 or more than there are values, in all or in a group.

    Source: Xu et al. 2025 (PODS), arXiv 2504.13818, theorem 1; over the whole batch: D3S, arXiv 2509.22115.
    """
    if groups is not None:
        members = [(groups == label).nonzero().flatten() for label in _labels(groups)]
        found = [(rows, max_variance_subset(values[rows], n, None, generator)) for rows in members]
        chosen = torch.cat([rows[subset.rows] for rows, subset in found])
        return Subset(chosen.sort().values, all(subset.degenerate for _, subset in found))
    size = len(values)
    if not 1 <= n <= size:
        raise ConfigError(f"cannot choose {n} of {size} values; choose at least 1 and at most all")
    shuffled = torch.arange(size) if generator is None else torch.randperm(size, generator=generator)
    numbers = values.double()[shuffled]
    order = numbers.argsort(stable=True)
    low, sums, squares, far = numbers[order], *(_prefix(numbers[order], power) for power in (1, 2, 0))
    head = torch.arange(n + 1)  # how many of the smallest
    tail = size - n + head  # where the largest begin
    mean = (sums[head] + sums[size] - sums[tail]) / n
    variance = (squares[head] + squares[size] - squares[tail]) / n - mean.square()
    distance = far[head] + far[size] - far[tail]
    tied = variance >= variance.max() - 1e-9 * max(1.0, float(variance.max()))
    best = int(torch.where(tied, distance, -torch.inf).argmax())
    chosen = shuffled[torch.cat([order[:best], order[size - n + best :]])]
    return Subset(chosen.sort().values, bool(low[0] == low[-1]))


def _labels(groups: Int[Tensor, " M"]) -> list[int]:
    """The distinct groups, ascending."""
    return sorted({int(group) for group in groups})


def _prefix(numbers: Float[Tensor, " M"], power: int) -> Float[Tensor, " M1"]:
    """Sums of the first 0, 1, ... M of the numbers, of their squares, or (power 0) of their magnitudes."""
    terms = numbers.abs() if power == 0 else numbers**power
    return torch.cat([terms.new_zeros(1), terms.cumsum(0)])


class MaxVariance(Select):
    """Keeps the episodes whose credit has the largest variance, once the credit of all of them is known.

    Their credit is left as it is: not normalised again, which would undo the choice. An episode's credit is the mean
    over its trained tokens. When no credit is left to learn from, nothing trains.

    Args:
        n: share of the episodes to keep, constant or from start to end of training; at least two are kept.
        cross_group: choose from the whole batch; otherwise the share is taken of each group.
        drop_zero_advantage: leave out episodes of zero credit that the share would still keep.
        seed: root of the seed tree that chooses among equal credits, so that no prompt is preferred.
    """

    name: ClassVar[str] = "max-variance"
    n: Share = LinearSchedule(start=0.5, end=0.5)
    cross_group: bool = True
    drop_zero_advantage: bool = False
    seed: int = Field(default=0, ge=0)
    _batches: int = PrivateAttr(default=0)
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts unchanged: the choice waits for the credit."""
        return rollouts

    def narrow(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], progress: float) -> Rollouts:
        """Take all but the chosen episodes out of ``train_mask``."""
        trained = rollouts.train_mask
        rows = trained.any(dim=1).nonzero().flatten()
        credit = (weights * trained).sum(1)[rows] / trained.sum(1)[rows]
        kept = rows[:0]
        if len(rows) and float(credit.abs().max()) > TINY:
            generator = (SeedTree(self.seed) / self.name / self._batches).torch()
            kept = self._choose(rows, credit, rollouts.groups[rows], self.n(progress), generator)
        self._batches += 1
        self._figures = {"kept_episodes": len(kept) / max(len(rows), 1)}
        if len(kept):
            chosen = credit[torch.isin(rows, kept)]
            # A kept set whose credit does not average 0 drives the entropy up or down.
            self._figures |= {"kept_credit": float(chosen.mean()), "kept_variance": float(chosen.var(correction=0))}
        alive = torch.isin(torch.arange(len(rollouts)), kept)
        return rollouts.replace(train_mask=trained & alive[:, None])

    def _choose(self, rows: Tensor, credit: Tensor, groups: Tensor, share: float, generator: torch.Generator) -> Tensor:
        members = [torch.arange(len(rows))] if self.cross_group else [groups == g for g in _labels(groups)]
        chosen: list[Tensor] = []
        for member in members:
            values, index = credit[member], rows[member]
            count = min(max(2, math.floor(share * len(index) + 0.5)), len(index))
            chosen.append(index[max_variance_subset(values, count, None, generator).rows])
        kept = torch.cat(chosen)
        if self.drop_zero_advantage:
            alive = rows[credit.abs() > TINY]
            kept = kept[torch.isin(kept, alive)]
        return kept

    def figures(self) -> dict[str, float]:
        """Return the share kept, and mean and variance of its credit, at the last step."""
        return self._figures

    def state_dict(self) -> dict[str, Any]:
        """Return how many batches were narrowed: ties are drawn by it."""
        return {"batches": self._batches}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore the count."""
        self._batches = state["batches"]
