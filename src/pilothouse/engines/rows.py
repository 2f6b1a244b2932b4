"""The state of every live row: on the device what a step computes with, on the host what was sampled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pilothouse.core.requests import Continuation, Logprob, Sample, Tokens, Value


@dataclass(slots=True, eq=False)
class Job:
    """A queued request and what it has cost so far.

    Args:
        ticket: the caller's handle.
        request: what to answer.
        continuations: [n] finished samples, ``None`` where still running.
    """

    ticket: int
    request: Sample | Logprob | Value
    continuations: list[Continuation | None] = field(default_factory=list)
    computed: int = 0
    reused: int = 0


@dataclass(slots=True, eq=False)
class Row:
    """One sequence to run: a continuation of a ``Sample`` or the sequence of a ``Logprob`` or ``Value``.

    Args:
        job: the request it belongs to.
        index: which of the request's samples.
        sequence: tokens to have in the cache before the next token can be drawn.
        reusable: most tokens of the sequence that may come from the cache, because the rest needs logits.
        paid: tokens of the sequence this request has already computed for a shared stem.
        drawn: tokens drawn so far, while the row is not live.
        logprobs: their log-probabilities.
        told: drawn tokens that were reported while the row was live.
    """

    job: Job
    index: int
    sequence: Tokens
    reusable: int
    paid: int = 0
    drawn: Tokens = ()
    logprobs: tuple[float, ...] = ()
    told: int = 0


class LiveRows:
    """Rows [0, count) of the cache, which are being sampled; a finished row is replaced by the last one.

    Args:
        device: where the model is.
    """

    def __init__(self, device: torch.device) -> None:
        self.rows: list[Row] = []
        # token to feed, its position + 1, key of its random numbers, top_k
        self.ints = torch.zeros(4, 0, dtype=torch.long, device=device)
        # temperature, top_p
        self.floats = torch.zeros(2, 0, device=device)
        # tokens drawn, most to draw, length of the sequence, row of the stop table, is greedy, is truncated
        self.host = np.zeros((6, 0), dtype=np.int64)
        self.tokens = np.zeros((0, 0), dtype=np.int64)
        self.logprobs = np.zeros((0, 0), dtype=np.float32)

    def __len__(self) -> int:
        """Return the number of live rows."""
        return len(self.rows)

    @property
    def columns(self) -> int:
        """Length of the longest live sequence."""
        return int(self.host[2].max(initial=0))

    @property
    def final_columns(self) -> int:
        """Length that the longest live sequence can reach."""
        return int((self.host[2] + self.host[1] - self.host[0]).max(initial=0))

    def add(self, rows: Sequence[Row], keys: Sequence[int], limits: Sequence[int], rules: Sequence[int]) -> None:
        """Append rows.

        Args:
            rows: the rows, in the order of their rows of the cache.
            keys: key of the random numbers of each.
            limits: most tokens to draw for each.
            rules: row of the stop table of each.
        """
        how = [request for row in rows if isinstance(request := row.job.request, Sample)]
        ints = [[0, len(row.sequence), key, h.top_k] for row, h, key in zip(rows, how, keys, strict=True)]
        floats = [[h.temperature, h.top_p] for h in how]
        host = [
            [len(row.drawn), limit, len(row.sequence), rule, h.temperature == 0, h.top_p < 1 or h.top_k > 0]
            for row, h, limit, rule in zip(rows, how, limits, rules, strict=True)
        ]
        device = self.ints.device
        self.ints = torch.cat([self.ints, torch.tensor(ints, device=device).T], 1)
        self.floats = torch.cat([self.floats, torch.tensor(floats, device=device).T], 1)
        self.host = np.concatenate([self.host, np.array(host, dtype=np.int64).T], 1)
        first = len(self.rows)
        self.rows += rows
        self._widen(max(len(row.drawn) for row in rows) + 1)
        for at, row in enumerate(rows, first):
            self.tokens[at, : len(row.drawn)] = row.drawn
            self.logprobs[at, : len(row.drawn)] = row.logprobs

    def record(self, first: int, tokens: Int[Tensor, " B"], logprobs: Float[Tensor, " B"]) -> np.ndarray:
        """Append one drawn token to each row from ``first`` on and return the tokens on the host.

        Args:
            first: the first row.
            tokens: [B] drawn tokens.
            logprobs: [B] their log-probabilities.
        """
        self.ints[0, first:] = tokens
        self.ints[1, first:] += 1
        # One transfer for both; float32 holds token ids up to 2**24 exactly.
        drawn, scores = torch.stack([tokens.float(), logprobs]).cpu().numpy()
        drawn = drawn.astype(np.int64)
        count = self.host[0, first:]
        self._widen(int(count.max()) + 1)
        at = np.arange(first, len(self))
        self.tokens[at, count] = drawn
        self.logprobs[at, count] = scores
        self.host[0, first:] += 1
        self.host[2, first:] += 1
        return drawn

    def drawn(self, row: int) -> Tokens:
        """Return the tokens drawn for a row."""
        return tuple(self.tokens[row, : self.host[0, row]].tolist())

    def scores(self, row: int) -> tuple[float, ...]:
        """Return the log-probabilities of the tokens drawn for a row."""
        return tuple(self.logprobs[row, : self.host[0, row]].tolist())

    def news(self, row: int) -> tuple[Tokens, tuple[float, ...]]:
        """Return the tokens drawn for a row since the last call, and their log-probabilities."""
        told, count = self.rows[row].told, int(self.host[0, row])
        self.rows[row].told = count
        return tuple(self.tokens[row, told:count].tolist()), tuple(self.logprobs[row, told:count].tolist())

    def remove(self, finished: Sequence[int]) -> tuple[list[int], list[int]]:
        """Drop finished rows and return (sources, targets): which rows of the cache must move where.

        Args:
            finished: rows to drop, ascending.
        """
        left, gone = len(self) - len(finished), set(finished)
        targets = [row for row in finished if row < left]
        sources = [row for row in range(left, len(self)) if row not in gone]
        order = np.arange(left)
        order[targets] = sources
        index = torch.from_numpy(order).to(self.ints.device)
        self.ints, self.floats, self.host = self.ints[:, index], self.floats[:, index], self.host[:, order]
        self.tokens[:left], self.logprobs[:left] = self.tokens[order], self.logprobs[order]
        self.rows = [self.rows[row] for row in order]
        return sources, targets

    def _widen(self, columns: int) -> None:
        """Make room on the host for every live row and that many drawn tokens."""
        rows, had = self.tokens.shape
        if len(self) > rows or columns > had:
            grow = ((0, max(0, 2 * len(self) - rows)), (0, max(0, 2 * columns + 32 - had)))
            self.tokens, self.logprobs = np.pad(self.tokens, grow), np.pad(self.logprobs, grow)
