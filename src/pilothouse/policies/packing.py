"""Ragged rows to rectangular micro-batches with little padding."""

from __future__ import annotations

import torch
from jaxtyping import Int
from torch import Tensor

SPARE_TOKENS = 512  #: padding worth more than a forward and backward pass of its own, by estimate


def length_buckets(
    lengths: Int[Tensor, " N"], max_tokens: int, max_padding: int | None = None
) -> list[Int[Tensor, " B"]]:
    """Return the rows of each micro-batch: rows of like length together, longest first.

    Args:
        lengths: [N] tokens in each row.
        max_tokens: most tokens in a micro-batch, padding included; a longer row gets a micro-batch of its own.
        max_padding: most padding in a micro-batch, in tokens; by default only ``max_tokens`` limits it.
    """
    order = torch.argsort(lengths, descending=True, stable=True)
    sizes: list[int] = lengths[order].tolist()
    buckets, start, padding = list[Tensor](), 0, 0
    for row, size in enumerate(sizes):
        padding += sizes[start] - size
        full = (row + 1 - start) * max(1, sizes[start]) > max_tokens
        if row > start and (full or (max_padding is not None and padding > max_padding)):
            buckets.append(order[start:row])
            start, padding = row, 0
    return [*buckets, order[start:]] if sizes else buckets
