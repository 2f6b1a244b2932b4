"""Speculative sampling: a small model drafts, the large one checks many tokens at once, and the draws stay exact.

The local engine does not use it: on a CPU, with models this small, checking is no cheaper than drawing. It is here so
that what it saves can be counted (``pilothouse reproduce inference-engines``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.requests import Tokens

#: Of a sequence and a number K: [K, V] distributions of the token after each of its last K prefixes.
NextToken: TypeAlias = Callable[[Tokens, int], Float[Tensor, "K V"]]


@dataclass(frozen=True)
class Speculated:
    """A sample and what it took.

    Args:
        tokens: what was drawn.
        target_calls: passes of the large model.
        accepted: drafted tokens that were kept.
    """

    tokens: Tokens
    target_calls: int
    accepted: int


def accept(
    target: Float[Tensor, "G1 V"], draft: Float[Tensor, "G V"], drafted: Tokens, uniforms: Float[Tensor, " G"]
) -> tuple[int, Float[Tensor, " V"]]:
    """Return how many drafted tokens are kept, and what distribution the next token is drawn from.

    Token x is kept with probability min(1, p(x) / q(x)); at the first that is not, the next is drawn from
    max(p - q, 0), normalised; when all are kept, from the target's own next distribution. So every token has
    distribution p.

    Args:
        target: [G + 1, V] p, after each drafted token and before the first.
        draft: [G, V] q, that each drafted token was drawn from.
        drafted: G tokens.
        uniforms: [G] in [0, 1).

    Source: Leviathan et al. 2023, arXiv 2211.17192, algorithm 1.
    """
    for at, token in enumerate(drafted):
        p, q = target[at], draft[at]
        if uniforms[at] * q[token] >= p[token]:
            rest = (p - q).clamp(min=0)
            return at, rest / rest.sum()
    return len(drafted), target[len(drafted)]


def speculate(
    target: NextToken, draft: NextToken, prefix: Tokens, limit: int, gamma: int, rng: torch.Generator
) -> Speculated:
    """Return a sample of the target, drafted gamma tokens at a time.

    Args:
        target: the model that is sampled from.
        draft: the model that drafts.
        prefix: what is continued.
        limit: tokens to draw.
        gamma: tokens a draft.
        rng: draws everything.

    Raises:
        ConfigError: nothing is to be drawn or drafted.
    """
    if limit < 1 or gamma < 1:
        raise ConfigError(f"limit={limit}, gamma={gamma}: both must be at least 1")
    found, calls, kept_in_all = tuple[int, ...](), 0, 0
    while len(found) < limit:
        drafted, guesses = tuple[int, ...](), list[Tensor]()
        for _ in range(min(gamma, limit - len(found))):
            guesses.append(draft(prefix + found + drafted, 1)[0])
            drafted += (_draw(guesses[-1], rng),)
        checked = target(prefix + found + drafted, len(drafted) + 1)
        kept, after = accept(checked, torch.stack(guesses), drafted, torch.rand(len(drafted), generator=rng))
        found += (*drafted[:kept], _draw(after, rng))
        calls, kept_in_all = calls + 1, kept_in_all + kept
    return Speculated(found[:limit], calls, kept_in_all)


def _draw(probabilities: Tensor, rng: torch.Generator) -> int:
    return int(torch.multinomial(probabilities, 1, generator=rng))
