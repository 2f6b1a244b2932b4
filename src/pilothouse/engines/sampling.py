"""Drawing tokens: one vectorised draw for a batch whose rows differ in temperature, top-p, top-k and seed.

Every draw has an address (request seed, index among the request's samples, position of the token), which its random
number is a hash of (``core.counter``), so a row draws the same numbers in any batch.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor


def truncate(
    weights: Float[Tensor, "B V"], top_p: Float[Tensor, " B"], top_k: Int[Tensor, " B"]
) -> Float[Tensor, "B V"]:
    """Return probabilities with everything outside top-k, then outside the nucleus of what is left, set to 0.

    Args:
        weights: [B, V] probabilities.
        top_p: [B] nucleus mass kept (Holtzman et al. 2020); the most likely token always stays.
        top_k: [B] number of most likely tokens kept; 0 keeps all.
    """
    ranked, order = weights.sort(dim=-1, descending=True, stable=True)
    rank = torch.arange(weights.shape[-1], device=weights.device)
    ranked = ranked.masked_fill((top_k[:, None] > 0) & (rank >= top_k[:, None]), 0.0)
    mass = ranked.cumsum(-1)
    outside = (mass - ranked >= top_p[:, None] * mass[:, -1:]) & (top_p[:, None] < 1)
    return torch.zeros_like(weights).scatter(-1, order, ranked.masked_fill(outside, 0.0))


def draw(
    logits: Float[Tensor, "B V"],
    uniforms: Float[Tensor, " B"],
    temperature: Float[Tensor, " B"],
    top_p: Float[Tensor, " B"],
    top_k: Int[Tensor, " B"],
    *,
    greedy: bool,
    truncated: Int[Tensor, " C"] | None,
) -> tuple[Int[Tensor, " B"], Float[Tensor, " B"]]:
    """Return one token per row and its log-probability under softmax(logits / temperature), before truncation.

    Rows of temperature 0 take the most likely token, with log-probabilities at temperature 1.

    Args:
        logits: [B, V].
        uniforms: [B] random numbers in [0, 1).
        temperature: [B] softmax temperatures; 0 is greedy.
        top_p: [B] nucleus mass kept.
        top_k: [B] number of most likely tokens kept; 0 keeps all.
        greedy: whether any row has temperature 0; known beforehand so that no device has to be asked.
        truncated: [C] the rows with a top-p or top-k of their own; ``None`` if no row has.
    """
    logits = logits.float()
    logprobs = (logits / temperature.where(temperature > 0, 1.0)[:, None]).log_softmax(-1)
    weights = logprobs.exp()
    if truncated is not None:
        weights[truncated] = truncate(weights[truncated], top_p[truncated], top_k[truncated])
    mass = weights.cumsum(-1, dtype=uniforms.dtype)
    # Right of the target: a token of probability 0 adds no mass, so it is never the first to exceed the target.
    target = uniforms[:, None] * mass[:, -1:]
    tokens = torch.searchsorted(mass, target, right=True)[:, 0].clamp_(max=logits.shape[-1] - 1)
    if greedy:
        tokens = tokens.where(temperature > 0, logits.argmax(-1))
    return tokens, logprobs.gather(-1, tokens[:, None])[:, 0]
