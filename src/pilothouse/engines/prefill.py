"""Sequences enter the row cache here: what the prefix store holds is copied, what several share is computed once.

Every method works on the rows of the cache from ``first`` on; the rows before it are being sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.requests import Tokens
from pilothouse.engines.decoder import Decoder
from pilothouse.engines.prefixes import PrefixStore, common_length
from pilothouse.engines.rows import Row

STEM_TOKENS = 16  #: shortest shared stem worth a forward pass of its own


class Prefill:
    """Fills rows of the cache.

    Args:
        decoder: runs the model on the rows.
        budget: most tokens the prefix store keeps; 0 keeps none.
    """

    def __init__(self, decoder: Decoder, budget: int) -> None:
        self.decoder = decoder
        self.store = PrefixStore(budget)

    def compute_stems(self, first: int, rows: Sequence[Row]) -> None:
        """Compute what several sequences begin with once, shortest stems first, and keep it in the store.

        Args:
            first: first free row of the cache.
            rows: the rows about to be filled.
        """
        owners: dict[Tokens, Row] = {}
        for row in rows:
            owners.setdefault(row.sequence, row)
        ordered = sorted(owners)
        stems: dict[Tokens, Row] = {}
        for left, right in pairwise(ordered):
            limit = min(common_length(left, right), owners[left].reusable, owners[right].reusable)
            if STEM_TOKENS <= limit <= self.store.budget and limit - len(self.store.match(left[:limit])) >= STEM_TOKENS:
                stems.setdefault(left[:limit], owners[left])
        while stems:
            shortest = [stem for stem in stems if not any(stem[: len(s)] == s for s in stems if s is not stem)]
            run = sorted((Row(stems[stem].job, 0, stem, len(stem) - 1) for stem in shortest), key=self.missing)
            starts = self.reuse(first, run)
            self.fill(first, run, starts)
            for row, start in zip(run, starts, strict=True):
                owner = stems.pop(row.sequence)
                owner.job.computed += len(row.sequence) - start
                owner.paid += len(row.sequence) - start

    def missing(self, row: Row) -> int:
        """Return how many tokens of a row are not kept in the store."""
        return len(row.sequence) - min(row.reusable, len(self.store.match(row.sequence)))

    def ahead(self, first: int, row: Row, most: int) -> bool:
        """Compute the next tokens of a sequence that has not joined yet, and keep them in the store until it does.

        Args:
            first: first free row of the cache.
            row: the sequence.
            most: most tokens to compute.

        Returns:
            Whether anything was: not if the rest needs logits, or if the store cannot hold it.
        """
        held = min(row.reusable, len(self.store.match(row.sequence)))
        stem = row.sequence[: min(held + most, row.reusable)]
        if not held < len(stem) <= self.store.budget:
            return False
        part = [Row(row.job, row.index, stem, len(stem) - 1)]
        self.decoder.pool.reserve(first + 1, len(row.sequence) + 1)  # once: growing copies the whole cache
        self.fill(first, part, self.reuse(first, part))
        row.job.computed += len(stem) - held
        row.paid += len(stem) - held
        return True

    def reuse(self, first: int, rows: Sequence[Row]) -> list[int]:
        """Copy what the store holds of each sequence to its row and return how much that is.

        Args:
            first: the row of the cache of the first sequence.
            rows: the sequences.
        """
        pool = self.decoder.pool
        pool.reserve(first + len(rows), max(len(row.sequence) for row in rows))
        slots, places, starts = list[int](), list[int](), list[int]()
        for at, row in enumerate(rows, first):
            found = self.store.match(row.sequence)[: row.reusable]
            begin = at * pool.buffer.shape[2]
            slots += found
            places += range(begin, begin + len(found))
            starts.append(len(found))
        if slots:
            pool.load(torch.tensor(slots), torch.tensor(places))
        return starts

    def fill(self, first: int, rows: Sequence[Row], starts: Sequence[int]) -> Float[Tensor, "B V"]:
        """Compute the rest of each sequence, keep it in the store and return the logits after its last token.

        Args:
            first: the row of the cache of the first sequence.
            rows: the sequences, in order of how much is left to compute.
            starts: tokens of each that its row holds already.
        """
        last = torch.cat([logits[:, -1] for _, _, logits in self.extend(first, rows, starts)])
        self.keep_sound(first, rows, last.isnan().any(-1).tolist())
        return last

    def extend(
        self, first: int, rows: Sequence[Row], starts: Sequence[int], *, every: bool = False, states: bool = False
    ) -> Iterator[tuple[int, int, Float[Tensor, "B S V"]]]:
        """Compute the rest of each sequence, yielding what ``Decoder.extend`` does."""
        return self.decoder.extend(first, [row.sequence for row in rows], starts, every=every, states=states)

    def keep_sound(self, first: int, rows: Sequence[Row], broken: Sequence[bool]) -> None:
        """Keep the sequences of the rows from ``first`` on in the store, and clear the rows that hold a NaN."""
        places = range(first, first + len(rows))
        sound = [(place, row.sequence) for place, row, bad in zip(places, rows, broken, strict=True) if not bad]
        self.keep([place for place, _ in sound], [sequence for _, sequence in sound])
        self.decoder.pool.wipe([place for place, bad in zip(places, broken, strict=True) if bad])

    def keep(self, places: Sequence[int], sequences: Sequence[Tokens]) -> None:
        """Copy to the store what it does not hold of the sequences in the given rows."""
        if not self.store.budget:
            return
        wanted: dict[int, int] = {}  # a slot taken back for a later sequence goes to the later one
        for place, sequence in zip(places, sequences, strict=True):
            start, slots = self.store.insert(sequence)
            begin = place * self.decoder.pool.buffer.shape[2] + start
            wanted.update(zip(slots, range(begin, begin + len(slots)), strict=True))
        if wanted:
            self.decoder.pool.save(torch.tensor(list(wanted.values())), torch.tensor(list(wanted)))
