"""The key-value cache of many rows: column = position, so rows of any length share a batch without padding.

One buffer [planes, rows, columns, width] holds everything, a plane per layer for keys and one for values. A step
writes each row's new tokens at that row's own positions and attends to a view of the buffer: nothing is concatenated.
A second buffer [planes, slots, width] holds the tokens that the prefix store keeps.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import Cache

_CHUNK = 64


class KVPool(Cache):
    """Preallocated keys and values, grown as needed.

    Args:
        shapes: heads and head dimension of each plane, keys and values of each layer alternating.
        like: a tensor of the dtype and on the device to use.
    """

    def __init__(self, shapes: list[tuple[int, int]], like: Tensor) -> None:
        super().__init__(layers=[])
        self.shapes = shapes
        self.width = max(heads * size for heads, size in shapes)
        self.buffer = like.new_empty(len(shapes), 0, 0, self.width)
        self.slots = like.new_empty(len(shapes), 0, self.width)

    def reserve(self, rows: int, columns: int) -> None:
        """Make room, keeping what is there.

        Args:
            rows: rows needed.
            columns: positions needed in each row.
        """
        planes, had_rows, had_columns, width = self.buffer.shape
        if rows <= had_rows and columns <= had_columns:
            return
        rows = max(rows, had_rows) if rows <= had_rows else max(rows, 2 * had_rows)
        columns = max(-(-columns // _CHUNK) * _CHUNK, had_columns)
        old, self.buffer = self.buffer, self.buffer.new_zeros(planes, rows, columns, width)
        self.buffer[:, :had_rows, :had_columns] = old

    def open(self, first: int, positions: Int[Tensor, "B S"], columns: int) -> None:
        """Choose where the next forward pass writes and what it sees.

        Args:
            first: first of B consecutive rows.
            positions: [B, S] column of each new token.
            columns: columns the pass can see, counted from 0.
        """
        count = len(positions)
        rows = torch.arange(first, first + count, device=positions.device)
        self.where = (rows[:, None] * self.buffer.shape[2] + positions).flatten()
        self.window = (slice(first, first + count), slice(columns))

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Write a layer's new keys and values; return all the opened rows may see, [B, heads, columns, size]."""
        return self._write(2 * layer_idx, key_states), self._write(2 * layer_idx + 1, value_states)

    def _write(self, plane: int, states: Float[Tensor, "B heads S size"]) -> Float[Tensor, "B heads columns size"]:
        heads, size = self.shapes[plane]
        buffer = self.buffer[plane, ..., : heads * size]
        new = states.transpose(1, 2).reshape(-1, heads * size)
        buffer.view(-1, heads * size).index_copy_(0, self.where, new)
        return buffer[self.window].unflatten(-1, (heads, size)).transpose(1, 2)

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return 0: positions are always given, never inferred."""
        return 0

    def copy_rows(self, sources: list[int], targets: list[int], columns: int) -> None:
        """Copy whole rows, for forks and for filling the gaps of finished rows.

        Args:
            sources: rows to copy.
            targets: where to, none of them a source.
            columns: columns to copy, counted from 0.
        """
        device = self.buffer.device
        source, target = torch.tensor(sources, device=device), torch.tensor(targets, device=device)
        for plane in self.buffer[:, :, :columns]:  # plane by plane, which is several times faster than all in one
            plane.index_copy_(0, target, plane.index_select(0, source))

    def wipe(self, rows: list[int]) -> None:
        """Clear rows that hold a NaN: attention weighs what a later row must not see by zero, which keeps a NaN.

        Args:
            rows: rows to clear.
        """
        for row in rows:
            self.buffer[:, row] = 0

    def save(self, places: Int[Tensor, " L"], slots: Int[Tensor, " L"]) -> None:
        """Copy tokens from rows to the prefix store.

        Args:
            places: [L] row * columns + position of each token.
            slots: [L] where to keep it.
        """
        need = int(slots.max()) + 1
        if need > self.slots.shape[1]:
            old = self.slots
            self.slots = old.new_empty(old.shape[0], max(need, 2 * old.shape[1]), self.width)
            self.slots[:, : old.shape[1]] = old
        slots, places = slots.to(self.slots.device), places.to(self.slots.device)
        self.slots.index_copy_(1, slots, self.buffer.flatten(1, 2).index_select(1, places))

    def load(self, slots: Int[Tensor, " L"], places: Int[Tensor, " L"]) -> None:
        """Copy tokens from the prefix store to rows.

        Args:
            slots: [L] where each token is kept.
            places: [L] row * columns + position of each token.
        """
        slots, places = slots.to(self.slots.device), places.to(self.slots.device)
        self.buffer.flatten(1, 2).index_copy_(1, places, self.slots.index_select(1, slots))
