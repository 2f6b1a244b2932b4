"""Statistics of the columns of a table of numbers: what normalises observations and actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class ColumnStatistics:
    """Range and moments of each column.

    Args:
        low: [D] smallest value.
        high: [D] largest value.
        mean: [D] mean.
        std: [D] standard deviation, of the population.
    """

    low: Tensor
    high: Tensor
    mean: Tensor
    std: Tensor

    @staticmethod
    def of(rows: Tensor) -> ColumnStatistics:
        """Return the statistics of ``rows``, [N, D] with N at least 1."""
        return ColumnStatistics(rows.amin(dim=0), rows.amax(dim=0), rows.mean(dim=0), rows.std(dim=0, correction=0))

    def to_dict(self) -> dict[str, list[float]]:
        """Return the four rows as lists, for JSON."""
        return {name: getattr(self, name).tolist() for name in _NAMES}

    @staticmethod
    def from_dict(table: Mapping[str, Any]) -> ColumnStatistics:
        """Return what ``to_dict`` wrote.

        Raises:
            KeyError: a row is missing.
            ValueError: a row is no list of numbers, or the rows differ in length.
        """
        rows = [_row(table[name]) for name in _NAMES]
        if len({len(row) for row in rows}) != 1:
            raise ValueError("rows of different lengths")
        return ColumnStatistics(*rows)


_NAMES = ("low", "high", "mean", "std")


def _row(values: Sequence[float]) -> Tensor:
    try:
        return torch.tensor(values, dtype=torch.float32)
    except TypeError as error:
        raise ValueError(str(error)) from error
