"""Confidence: how sure a policy was of a text, read from the log-probabilities of its least likely tokens."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pilothouse.core.errors import DataError

Reduce: TypeAlias = Literal["geomean", "mean", "min"]


def confidence(
    logprobs: Float[Tensor, "N T"],
    mask: Bool[Tensor, "N T"],
    fraction: float = 0.2,
    threshold: float | None = None,
    reduce: Reduce = "geomean",
) -> Float[Tensor, " N"]:
    """Return a probability for each row, taken over its least likely tokens.

    Most tokens of a chain of thought are nearly certain and would drown the rest, so only the ``ceil(fraction * n)``
    least likely of a row's n tokens count, at least one. Ties go to the earlier token.

    Args:
        logprobs: [N, T] log-probability of each token.
        mask: [N, T] tokens of the text; others are never looked at.
        fraction: share of the tokens that counts, in (0, 1]; 1 is the inverse perplexity.
        threshold: count the tokens of at most this probability instead, and the least likely one if there is none.
        reduce: "geomean", the arithmetic "mean", or "min" of their probabilities.

    Returns:
        [N] confidence in [0, 1], without gradient; 0 where a counted token is impossible.

    Raises:
        DataError: a row has no token, or a log-probability is not a number.

    Source: arXiv 2602.05281, the length-normalised probability of low-probability tokens.
    """
    counts = mask.sum(dim=1)
    if not counts.all():
        raise DataError("a text of no tokens has no confidence; leave such episodes out")
    values = torch.where(mask, logprobs.detach().double(), torch.inf)
    if values.isnan().any():
        raise DataError("confidence needs the log-probability of every token, and the engine did not give some")
    ranked = values.sort(dim=1, stable=True).values
    place = torch.arange(mask.shape[1], device=mask.device)
    if threshold is None:  # a hair less, so that 0.2 * 5, which is not 1 in floating point, stays at one token
        many = (counts * fraction - 1e-9).ceil().clamp(min=1)
        chosen = place < many[:, None]
    else:
        chosen = ((ranked.exp() <= threshold) | (place == 0)) & (place < counts[:, None])
    size = chosen.sum(dim=1)
    if reduce == "min":
        found = ranked[:, 0].exp()
    elif reduce == "mean":
        found = torch.where(chosen, ranked.exp(), 0.0).sum(dim=1) / size
    else:
        found = (torch.where(chosen, ranked, 0.0).sum(dim=1) / size).exp()
    return found.to(logprobs.dtype)
