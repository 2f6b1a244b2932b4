"""What a policy says of the prompts themselves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.requests import Tokens
from pilothouse.policies.causal_lm import CausalPolicy


@torch.no_grad()
def prompt_logprobs(
    policy: CausalPolicy,
    prompts: Sequence[Tokens],
    *,
    temperature: Float[Tensor, " B"] | float = 1.0,
    chunk_tokens: int | None = None,
) -> list[tuple[float, ...]]:
    """Return the log-probability of each prompt's tokens but the first, which nothing predicts.

    Args:
        policy: what scores.
        prompts: B ragged token sequences, none empty.
        temperature: [B] softmax temperature of each prompt, or one for all.
        chunk_tokens: tokens whose logits are in memory at a time; by default what fits 64 MiB.
    """
    sizes = [len(prompt) - 1 for prompt in prompts]
    width = max(sizes, default=0)
    if not width:
        return [()] * len(prompts)
    rest = torch.tensor([[*prompt[1:], *[0] * (width - size)] for prompt, size in zip(prompts, sizes, strict=True)])
    mask = torch.arange(width) < torch.tensor(sizes)[:, None]
    starts = [prompt[:1] for prompt in prompts]
    scores = policy.token_scores(starts, rest, mask, temperature=temperature, chunk_tokens=chunk_tokens).logprobs.cpu()
    return [tuple(row[:size].tolist()) for row, size in zip(scores, sizes, strict=True)]
