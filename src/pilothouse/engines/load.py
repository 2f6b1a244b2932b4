"""A closed loop of requests against a server: how many tokens a second it gives at a level of concurrency."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pilothouse.engines.wire import Spent, Streamed

if TYPE_CHECKING:
    from pilothouse.engines.probe_checks import Subject


@dataclass(frozen=True)
class Load:
    """What a server did under load.

    Args:
        concurrency: requests under way at once.
        requests: how many were answered or failed.
        succeeded: share that was answered whole.
        tokens_per_s: sampled tokens a second, over all requests; pieces of text where the server counts none.
        first_token_s: median seconds to the first token, and the 95th percentile.
        total_s: median seconds of a request, and the 95th percentile.
    """

    concurrency: int
    requests: int
    succeeded: float
    tokens_per_s: float
    first_token_s: tuple[float, float]
    total_s: tuple[float, float]


async def loaded(subject: Subject, concurrency: int, seconds: float) -> Load:
    """Return what a server does while so many requests are always under way.

    Args:
        subject: the server and model.
        concurrency: requests at once; each that ends is followed by another.
        seconds: none is begun after this; those under way are waited for.

    Raises:
        Spent: no time or request was left at the beginning.
    """
    found: list[Streamed] = []
    start = time.perf_counter()

    async def worker(number: int) -> None:
        turn = 0
        while not turn or time.perf_counter() - start < seconds:
            prompt = f"Worker {number}, turn {turn}: count on, one two three"
            body = subject.body(prompt, temperature=1)
            found.append(await subject.wire.stream(subject.path, body))
            turn += 1
            if not found[-1].answered.status:  # gone: asking on would only spin
                return

    ends = await asyncio.gather(*(worker(number) for number in range(concurrency)), return_exceptions=True)
    if wrong := next((end for end in ends if isinstance(end, BaseException) and not isinstance(end, Spent)), None):
        raise wrong
    if not found:
        raise Spent
    taken = time.perf_counter() - start
    good = [one for one in found if one.answered.good and one.events.ended]  # an answer may be empty
    return Load(
        concurrency,
        len(found),
        len(good) / len(found),
        sum(_tokens(one) for one in good) / taken,
        _middle([one.first_s for one in good if one.pieces]),
        _middle([one.answered.seconds for one in good]),
    )


def _tokens(one: Streamed) -> int:
    try:
        usage = one.events.completion().usage
    except ValueError:
        return len(one.pieces)
    return usage.completion_tokens if usage and usage.completion_tokens else len(one.pieces)


def _middle(values: list[float]) -> tuple[float, float]:
    if not values:
        return float("nan"), float("nan")
    median, late = np.quantile(values, [0.5, 0.95])
    return float(median), float(late)
