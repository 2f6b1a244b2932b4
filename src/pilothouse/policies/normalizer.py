"""Columns brought to a common scale and back, with the statistics in the checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from pilothouse.core.columns import ColumnStatistics

_FLAT = 1e-6  # a column that varies less is constant: it is moved to 0 and not stretched


class Normalizer(nn.Module):
    """``(x - shift) / scale`` on the last axis; both are saved with the weights.

    Args:
        shift: [D] what becomes 0.
        scale: [D] what becomes 1.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, shift: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("shift", shift.float().clone())
        self.register_buffer("scale", scale.float().clone())

    @staticmethod
    def min_max(columns: ColumnStatistics, fixed: Mapping[int, float] | None = None) -> Normalizer:
        """Return one that maps each column's range to [-1, 1].

        Args:
            columns: statistics of the data.
            fixed: columns that are only divided by this number, such as ``{2: 1.0}`` for one to leave alone.
        """
        shift, half = (columns.low + columns.high) / 2, (columns.high - columns.low) / 2
        return _with(shift, half, fixed or {})

    @staticmethod
    def standard(columns: ColumnStatistics, fixed: Mapping[int, float] | None = None) -> Normalizer:
        """Return one that gives each column mean 0 and standard deviation 1.

        Args:
            columns: statistics of the data.
            fixed: columns that are only divided by this number.
        """
        return _with(columns.mean, columns.std, fixed or {})

    @staticmethod
    def blank(dim: int) -> Normalizer:
        """Return one of ``dim`` columns that changes nothing, to load a saved one into."""
        return Normalizer(torch.zeros(dim), torch.ones(dim))

    def forward(self, values: Tensor) -> Tensor:
        """Return ``values`` [..., D] on the common scale."""
        return (values - self.shift) / self.scale

    def undo(self, values: Tensor) -> Tensor:
        """Return what ``forward`` was given."""
        return values * self.scale + self.shift


def _with(shift: Tensor, scale: Tensor, fixed: Mapping[int, float]) -> Normalizer:
    scale = torch.where(scale < _FLAT, torch.ones_like(scale), scale)
    shift, scale = shift.clone(), scale.clone()
    for column, factor in fixed.items():
        shift[column], scale[column] = 0.0, factor
    return Normalizer(shift, scale)
