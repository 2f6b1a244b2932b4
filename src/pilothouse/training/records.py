"""The record of every episode: enough to audit what was rewarded and what was learnt from it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from pilothouse.core.requests import Codec, Tokens
from pilothouse.core.rollouts import Rollouts
from pilothouse.policies.causal_lm import CausalPolicy

UNFINISHED = "\ufffd"  #: what bytes that are not yet a character decode to
MOST_PARTS = 8  #: tokens of one character at most


def records(
    rollouts: Rollouts, weights: Float[Tensor, "N T"], policy: CausalPolicy, step: int, detail: str
) -> Iterator[dict[str, Any]]:
    """Yield a JSON row for every episode that ended.

    Of a response that grew over several steps, the credit is that of the last one.

    Args:
        rollouts: the selected rollouts.
        weights: credit of each token.
        policy: decodes prompts.
        step: the training step.
        detail: "text", or "tokens" to add what is known token by token (``token_record``).
    """
    trained = rollouts.train_mask.any(dim=1)
    pieces: dict[int, str] = {}
    for row, episode in enumerate(rollouts.episodes):
        score = episode.score
        if score is None:
            continue
        record: dict[str, Any] = {
            "step": step,
            "group": int(rollouts.groups[row]),
            "problem": episode.problem_id,
            "prompt": policy.codec.decode(episode.prompt),
            "response": episode.text,
            "reward": score.reward,
            "correct": score.correct,
            "parts": dict(score.parts),
            "status": str(score.status),
            "detail": score.detail,
            "stop": str(episode.stop_reason),
            "length": len(episode.tokens),
            "trained": bool(trained[row]),
        }
        if detail == "tokens":
            record |= token_record(rollouts, weights, row)
            record["widths"] = token_widths(policy.codec, episode.tokens, episode.text, pieces)
        yield record


def token_record(rollouts: Rollouts, weights: Float[Tensor, "N T"], row: int) -> dict[str, Any]:
    """Return what is known of each token of an episode.

    Args:
        rollouts: the episodes.
        weights: credit of each token.
        row: which episode.

    Returns:
        ``tokens`` (ids), ``actions`` ("1" where the policy chose the token), ``trains`` ("1" where it carries a loss;
        absent where that is every action, or none), ``logprobs`` (the sampler's), ``gap`` (the trainer's less the
        sampler's before the update; absent where the trainer computed none) and ``credit``. Of the last two a single
        number stands for the same one at every token.
    """
    episode, size = rollouts.episodes[row], len(rollouts.episodes[row].tokens)
    actions, trains = _bits(episode.action_mask), _bits(rollouts.train_mask[row, :size].tolist())
    found: dict[str, Any] = {"tokens": list(episode.tokens), "actions": actions}
    if trains != actions and "1" in trains:
        found["trains"] = trains
    found["logprobs"] = [round(value, 4) for value in episode.logprobs]
    if rollouts.old_logprobs is not None:
        gap = (rollouts.old_logprobs - rollouts.sampler_logprobs)[row, :size].tolist()
        known = [None if math.isnan(value) else round(value, 4) for value in gap]
        if any(value is not None for value in known):
            found["gap"] = _same(known)
    found["credit"] = _same([round(value, 5) for value in weights[row, :size].tolist()])
    return found


def token_widths(codec: Codec, tokens: Tokens, text: str, pieces: dict[int, str]) -> list[int]:
    """Return how many characters of a text each token adds; their sum is the text's length.

    Tokens that are parts of one character add nothing but the last of them.

    Args:
        codec: tokens to text.
        tokens: [T] ids.
        text: what they decode to; of another text nothing is known, and nothing returned.
        pieces: what is known of the vocabulary already; added to.
    """
    widths: list[int] = []
    parts: list[int] = []  # tokens of a character that is not whole yet
    for place, token in enumerate(tokens):
        if token not in pieces:  # after itself, as some tokenizers drop the space of a first token
            pieces[token] = codec.decode((token, token))[len(codec.decode((token,))) :]
        piece = pieces[token] if place else codec.decode((token,))
        if parts or UNFINISHED in piece:
            parts.append(token)
            piece = codec.decode(tuple(parts))
            if piece.endswith(UNFINISHED) and len(parts) < MOST_PARTS:
                piece = ""
            else:
                parts.clear()
        widths.append(len(piece))
    rest = len(text) - sum(widths)
    if widths and parts:
        widths[-1], rest = rest, 0
    return [] if rest else widths


def _bits(mask: Sequence[bool]) -> str:
    return "".join("1" if there else "0" for there in mask)


def _same(values: list[Any]) -> Any:
    return values[0] if values and values.count(values[0]) == len(values) else values
