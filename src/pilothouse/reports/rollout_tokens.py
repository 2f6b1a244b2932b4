"""A recorded rollout token by token: its characters beside its credit, its log-probability and what of it trains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Token:
    """A token of a response.

    Args:
        index: its place, counted from 0.
        ident: its id in the vocabulary.
        text: its characters; empty for special tokens and for parts of a character.
        chosen: whether the policy chose it; else the environment or a tool wrote it.
        trains: whether it carries a loss.
        credit: its weight in the loss: the advantage.
        logprob: the sampler's log-probability, in nats.
        gap: the trainer's log-probability less the sampler's, in nats. Numbers are NaN where nothing was recorded.
    """

    index: int
    ident: int
    text: str
    chosen: bool
    trains: bool
    credit: float
    logprob: float
    gap: float


def tokens_of(row: Mapping[str, Any]) -> tuple[Token, ...]:
    """Return the tokens of a row of ``rollouts.jsonl``; none if the run recorded text alone.

    Rows of earlier versions, which lack some of it, are read as far as they go: without the characters of each token,
    a response of as many characters as tokens has one each, and of another none are known.

    Args:
        row: the row, with everything it holds.
    """
    idents = row.get("tokens")
    if not isinstance(idents, list):
        return ()
    size = len(idents)
    pieces = _pieces(row, size)
    actions = _bits(row.get("actions"), size, True)
    trains = _bits(row.get("trains"), size, None)
    trained = row.get("trained") is not False
    credit, logprobs, gap = (_numbers(row.get(name), size) for name in ("credit", "logprobs", "gap"))
    return tuple(
        Token(
            index=i,
            ident=ident if isinstance(ident, int) else -1,
            text=pieces[i],
            chosen=bool(actions[i]),
            trains=bool(actions[i]) and trained if trains[i] is None else bool(trains[i]),
            credit=credit[i],
            logprob=logprobs[i],
            gap=gap[i],
        )
        for i, ident in enumerate(idents)
    )


def _pieces(row: Mapping[str, Any], size: int) -> list[str]:
    text, found = row.get("response"), row.get("widths")
    if not isinstance(text, str):
        return [""] * size
    widths = [w for w in found if isinstance(w, int) and w >= 0] if isinstance(found, list) else []
    if len(widths) != size or sum(widths) != len(text):
        # a character tokenizer's responses: one token a character, perhaps one more that ends them
        widths = [1] * len(text) + [0] * (size - len(text)) if size - len(text) in (0, 1) else [0] * size
    pieces: list[str] = []
    at = 0
    for width in widths:
        pieces.append(text[at : at + width])
        at += width
    return pieces


def _bits(value: Any, size: int, absent: bool | None) -> list[bool | None]:
    if not isinstance(value, str) or len(value) != size:
        return [absent] * size
    return [mark == "1" for mark in value]


def _numbers(value: Any, size: int) -> list[float]:
    values = value if isinstance(value, list) else [value] * size
    if len(values) != size:
        return [math.nan] * size
    return [float(v) if isinstance(v, int | float) and not isinstance(v, bool) else math.nan for v in values]
