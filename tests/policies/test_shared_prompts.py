"""Responses to one prompt share its computation; log-probabilities and gradients are those of separate rows."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen3Config,
)

from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import character_tokenizer

PROMPTS = ((3, 4, 5, 6), (7, 8), (9, 10, 11, 12, 13, 14, 15))
SMALL = {
    "vocab_size": 19,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "intermediate_size": 32,
}
PLAIN = {
    "rotary": LlamaConfig(**SMALL),
    "normalised heads": Qwen3Config(**SMALL),
    "learned positions": GPT2Config(vocab_size=19, n_embd=16, n_layer=2, n_head=2, n_positions=64),
}
WINDOWED = {
    "sliding window": MistralConfig(**SMALL, sliding_window=3),
    "some layers sliding": Gemma2Config(**SMALL, sliding_window=3),
}


def policy(config: PretrainedConfig) -> CausalPolicy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return CausalPolicy(model, character_tokenizer("0123456789+-*/=\n"))


def batch() -> tuple[tuple[tuple[int, ...], ...], Tensor, Tensor]:
    """Two responses to each prompt, not side by side; one row without a scored token, one with its first only."""
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, 19, (6, 5), generator=generator)
    mask = torch.rand(6, 5, generator=generator) < 0.7
    mask[1], mask[3] = False, torch.arange(5) < 1
    return PROMPTS * 2, tokens, mask


def gradients(made: CausalPolicy, loss: Tensor) -> list[Tensor]:
    weights = list(made.trainable_parameters().values())
    return list(torch.autograd.grad(loss, weights, allow_unused=True, materialize_grads=True))


def computed(made: CausalPolicy, prompts: tuple[tuple[int, ...], ...], tokens: Tensor, mask: Tensor) -> int:
    """Tokens that enter the network, padding included."""
    made.token_scores(prompts, tokens, mask)  # the checks of the first use are over
    seen: list[int] = []
    hook = made.model.get_input_embeddings().register_forward_hook(lambda _, given, __: seen.append(given[0].numel()))
    made.token_scores(prompts, tokens, mask)
    hook.remove()
    return sum(seen)


@pytest.mark.parametrize("kind", [*PLAIN, *WINDOWED])
def test_scores_and_gradients_are_those_of_separate_rows(kind: str) -> None:
    made = policy({**PLAIN, **WINDOWED}[kind])
    prompts, tokens, mask = batch()
    pull = torch.randn(mask.shape, generator=torch.Generator().manual_seed(1))
    together = made.token_scores(prompts, tokens, mask).logprobs
    apart = torch.cat(
        [made.token_scores(PROMPTS, tokens[part], mask[part]).logprobs for part in (slice(3), slice(3, 6))]
    )
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=1e-5)
    mine, others = gradients(made, (together * pull).sum()), gradients(made, (apart * pull).sum())
    for one, other in zip(mine, others, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", PLAIN)
def test_each_prompt_is_computed_once(kind: str) -> None:
    prompts, tokens, mask = batch()
    last = int(mask.nonzero()[:, 1].max())
    assert computed(policy(PLAIN[kind]), prompts, tokens, mask) == 3 * 7 + 6 * last


@pytest.mark.parametrize("kind", WINDOWED)
def test_a_sliding_window_is_computed_row_by_row(kind: str) -> None:
    prompts, tokens, mask = batch()
    assert computed(policy(WINDOWED[kind]), prompts, tokens, mask) >= 6 * 7


def test_first_tokens_alone_need_the_prompts_alone() -> None:
    made, (prompts, tokens, mask) = policy(PLAIN["rotary"]), batch()
    first = mask.new_zeros(mask.shape)
    first[:, 0] = True
    assert computed(made, prompts, tokens, first) == 3 * 7
    apart = made.token_scores(PROMPTS, tokens[:3], first[:3]).logprobs
    torch.testing.assert_close(made.token_scores(prompts, tokens, first).logprobs[:3], apart, atol=1e-5, rtol=1e-5)


def test_gradients_repeat_bit_for_bit_on_several_threads():
    """Rows of a group add to one state's gradient: in a fixed order, however many threads there are."""
    torch.manual_seed(0)
    config = Qwen3Config(**{**SMALL, "hidden_size": 64})
    policy = CausalPolicy(AutoModelForCausalLM.from_config(config), character_tokenizer("0123456789+=*:"))
    tokens = torch.randint(0, 19, (256, 6))
    prompts, mask = [PROMPTS[0]] * 256, torch.ones(256, 6, dtype=torch.bool)
    pull = torch.randn(256, 6)

    def gradients() -> list[Tensor]:
        policy.model.zero_grad()
        (policy.token_scores(prompts, tokens, mask).logprobs * pull).sum().backward()
        return [weight.grad.clone() for weight in policy.model.parameters() if weight.grad is not None]

    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        runs = [gradients() for _ in range(8)]
    finally:
        torch.set_num_threads(threads)
    assert runs[0]
    assert all(torch.equal(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True))
