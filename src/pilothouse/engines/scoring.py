"""Scores of given tokens in the local engine: ``Logprob`` and ``Value`` requests, which need a pass and no draws."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.requests import Logprob, Scored, Valued
from pilothouse.engines.decoder import ValuePolicy
from pilothouse.engines.prefill import Prefill
from pilothouse.engines.rows import Row


def score(prefill: Prefill, first: int, rows: Sequence[Row]) -> Iterator[tuple[Row, Scored]]:
    """Yield the answers to ``Logprob`` requests.

    Args:
        prefill: fills the cache; what the prefix store holds of a sequence is not computed again.
        first: first free row of the cache.
        rows: the sequences to score.
    """
    rows = sorted(rows, key=prefill.missing)
    starts = prefill.reuse(first, rows)
    found = [list[float]() for _ in rows]
    for low, offset, logits in prefill.extend(first, rows, starts, every=True):
        _gather(rows, starts, range(low, low + len(logits)), offset, logits, found)
    prefill.keep_sound(first, rows, [math.isnan(sum(logprobs)) for logprobs in found])
    for row, start, logprobs in zip(rows, starts, found, strict=True):
        row.job.computed += len(row.sequence) - start
        row.job.reused += max(0, start - row.paid)
        yield row, Scored(tuple(logprobs))


def _gather(
    rows: Sequence[Row],
    starts: Sequence[int],
    part: range,
    offset: int,
    logits: Float[Tensor, "B S V"],
    found: list[list[float]],
) -> None:
    """Append the log-probabilities of the continuation's tokens that these logits predict."""
    device, width = logits.device, logits.shape[1]
    wanted, heat, spans = list[list[int]](), list[float](), list[slice]()
    for at in part:
        request = rows[at].job.request
        assert isinstance(request, Logprob)
        whole = (*request.prefix, *request.continuation)
        begin = starts[at] + offset  # these logits predict the tokens from begin + 1 on
        targets = whole[begin + 1 : begin + 1 + width]
        wanted.append([*targets, *[0] * (width - len(targets))])
        heat.append(request.temperature or 1.0)
        spans.append(slice(max(0, len(request.prefix) - 1 - begin), len(targets)))
    scaled = logits.float() / torch.tensor(heat, device=device)[:, None, None]
    picked = scaled.log_softmax(-1).gather(-1, torch.tensor(wanted, device=device)[..., None])[..., 0]
    for at, span, line in zip(part, spans, picked.tolist(), strict=True):
        found[at] += line[span]


def value(prefill: Prefill, first: int, rows: Sequence[Row]) -> Iterator[tuple[Row, Valued]]:
    """Yield the answers to ``Value`` requests from the policy's value head.

    Args:
        prefill: fills the cache; what the prefix store holds of a state is not computed again.
        first: first free row of the cache.
        rows: the states to value.
    """
    policy = cast(ValuePolicy, prefill.decoder.policy)
    if not prefill.decoder.shows_states:
        worths, starts = policy.value_of_prefixes([row.sequence for row in rows]), [0] * len(rows)
    else:
        rows = sorted(rows, key=prefill.missing)
        starts = prefill.reuse(first, rows)
        last = torch.cat([states[:, -1] for _, _, states in prefill.extend(first, rows, starts, states=True)])
        prefill.keep_sound(first, rows, last.isnan().any(-1).tolist())
        worths = policy.value_head(last).tolist()
    for row, start, worth in zip(rows, starts, worths, strict=True):
        row.job.computed += len(row.sequence) - start
        row.job.reused += max(0, start - row.paid)
        yield row, Valued(float(worth))
