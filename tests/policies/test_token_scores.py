"""Log-probs in chunks equal a plain full forward, values and gradients, whatever the model does to its logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    PretrainedConfig,
)

from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import character_tokenizer, tiny_policy

CHARACTERS = "0123456789+-*/=\n"
PROMPTS = ((3, 4, 5, 6), (7, 8), (9, 10, 11, 12, 13, 14, 15))
SMALL = {"vocab_size": 19, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def policy(size: str = "nano", **kwargs: bool) -> CausalPolicy:
    made = tiny_policy(CHARACTERS, seed=1, size=size, **kwargs)
    with torch.no_grad():  # a larger spread of logits makes the comparison sharper
        made.model.get_input_embeddings().weight.mul_(20.0)
    return made


def batch(width: int = 6) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(3, 19, (3, width), generator=generator)
    mask = torch.rand(3, width, generator=generator) < 0.7
    return tokens, mask


def plain(made: CausalPolicy, tokens: Tensor, mask: Tensor, temperature: Tensor) -> tuple[Tensor, Tensor]:
    """Left-padded rows with an attention mask and the model's own full logits."""
    width = max(map(len, PROMPTS))
    ids = torch.zeros(3, width + tokens.shape[1], dtype=torch.long)
    seen = torch.zeros_like(ids)
    for row, prompt in enumerate(PROMPTS):
        line = torch.tensor([*prompt, *tokens[row].tolist()])
        ids[row, -len(line) :], seen[row, -len(line) :] = line, 1
    positions = (seen.cumsum(1) - 1).clamp(min=0)
    logits = made.model(input_ids=ids, attention_mask=seen, position_ids=positions).logits[:, width - 1 : -1]
    logp = (logits / temperature[:, None, None]).log_softmax(-1)
    entropy = -(logp.exp() * logp).sum(-1)
    return logp.gather(2, tokens[..., None])[..., 0] * mask, entropy * mask


def gradients(made: CausalPolicy, loss: Tensor) -> list[Tensor]:
    return list(
        torch.autograd.grad(loss, made.trainable_parameters().values(), allow_unused=True, materialize_grads=True)
    )


def compare(made: CausalPolicy, chunk: int | None) -> None:
    tokens, mask = batch()
    temperature = torch.tensor([1.0, 0.7, 2.0])
    scores = made.token_scores(PROMPTS, tokens, mask, temperature=temperature, entropy=True, chunk_tokens=chunk)
    assert scores.entropy is not None
    logprobs, entropy = plain(made, tokens, mask, temperature)
    torch.testing.assert_close(scores.logprobs, logprobs, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(scores.entropy, entropy, atol=1e-5, rtol=1e-5)
    pull = torch.randn(mask.shape, generator=torch.Generator().manual_seed(2))
    ours = gradients(made, (scores.logprobs * pull + scores.entropy * pull.flip(1)).sum())
    theirs = gradients(made, (logprobs * pull + entropy * pull.flip(1)).sum())
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("chunk", [None, 1, 5])
def test_scores_and_gradients_equal_a_full_left_padded_forward(chunk: int | None) -> None:
    compare(policy(), chunk)


CONFIGS = {
    "softcap": Gemma2Config(**SMALL, num_key_value_heads=1, head_dim=8, final_logit_softcapping=2.0),
    "divided": GraniteConfig(**SMALL, logits_scaling=3.0),
    "multiplied": CohereConfig(**SMALL, logit_scale=0.25),
    "learned positions": GPT2Config(vocab_size=19, n_embd=16, n_layer=2, n_head=2, n_positions=64),
    "untied": LlamaConfig(**SMALL, tie_word_embeddings=False),
}


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("chunk", [None, 4])
@pytest.mark.filterwarnings("error:.*computes its logits:UserWarning")
def test_heads_that_reshape_their_logits(kind: str, chunk: int | None) -> None:
    compare(from_config(CONFIGS[kind]), chunk)


def from_config(config: PretrainedConfig) -> CausalPolicy:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.3)
    return CausalPolicy(model, character_tokenizer(CHARACTERS))


def test_a_model_that_does_more_after_its_head_is_used_whole_with_a_warning() -> None:
    made = policy()
    head = made.model.lm_head
    own = made.model.forward

    def shifted(*args: object, **kwargs: object) -> object:
        output = own(*args, **kwargs)
        output.logits = output.logits * torch.linspace(0.5, 1.5, head.out_features)
        return output

    made.model.forward = shifted
    with pytest.warns(UserWarning, match="full logits"):
        compare(made, None)


def test_one_temperature_for_all_rows_is_each_rows_own() -> None:
    made, (tokens, mask) = policy(), batch()
    one = made.token_scores(PROMPTS, tokens, mask, temperature=0.5)
    each = made.token_scores(PROMPTS, tokens, mask, temperature=torch.full((3,), 0.5))
    assert torch.equal(one.logprobs, each.logprobs)


def test_nothing_masked_scores_nothing() -> None:
    tokens, mask = batch()
    scores = policy().token_scores(PROMPTS, tokens, torch.zeros_like(mask), entropy=True)
    assert scores.logprobs.eq(0).all()
    assert scores.entropy is not None
    assert scores.entropy.eq(0).all()


def test_a_uniform_policy_has_the_entropy_of_its_vocabulary() -> None:
    made, (tokens, mask) = policy(), batch()
    with torch.no_grad():
        made.model.get_input_embeddings().weight.zero_()
    scores = made.token_scores(PROMPTS, tokens, mask, entropy=True)
    assert scores.entropy is not None
    flat = torch.where(mask, torch.tensor(float(made.model.config.vocab_size)).log(), 0.0)
    torch.testing.assert_close(scores.entropy, flat)
    torch.testing.assert_close(scores.logprobs, -flat)


def test_gradient_checkpointing_changes_no_gradient() -> None:
    made, (tokens, mask) = policy(), batch()
    before = gradients(made, made.token_scores(PROMPTS, tokens, mask).logprobs.sum())
    made.gradient_checkpointing()
    passes = [0]
    made.model.model.layers[0].mlp.register_forward_pre_hook(lambda *_: passes.__setitem__(0, passes[0] + 1))
    scores = made.token_scores(PROMPTS, tokens, mask).logprobs.sum()
    forward = passes[0]
    after = gradients(made, scores)
    assert passes[0] == 2 * forward  # each block ran again in the backward pass
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other)


def test_bfloat16_weights_get_float32_log_probabilities() -> None:
    made, (tokens, mask) = policy(), batch()
    made.model.to(torch.bfloat16)
    scores = made.token_scores(PROMPTS, tokens, mask)
    assert scores.logprobs.dtype == torch.float32
    assert all(grad.dtype == torch.bfloat16 for grad in gradients(made, scores.logprobs.sum()))


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one token"):
        policy().token_scores([()], torch.tensor([[3]]), torch.tensor([[True]]))


class Largest(TorchDispatchMode):
    """Records the largest tensor that any operation returns, besides those with a given shape."""

    def __init__(self, ignore: tuple[int, ...]) -> None:
        super().__init__()
        self.ignore, self.elements = ignore, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        for item in output if isinstance(output, tuple | list) else [output]:
            if isinstance(item, Tensor) and tuple(item.shape) not in (self.ignore, self.ignore[::-1]):
                self.elements = max(self.elements, item.numel())
        return output


@pytest.mark.parametrize("steps", [8, 64])
def test_no_tensor_is_larger_than_a_chunk_of_logits_however_long_the_responses(steps: int) -> None:
    vocabulary, width, chunk = 5000, 16, 4
    made = from_config(LlamaConfig(**{**SMALL, "vocab_size": vocabulary}, tie_word_embeddings=True))
    made.token_scores(PROMPTS, *batch())  # the one-time comparison with the model's own logits
    tokens = torch.full((3, steps), 3)
    with Largest(ignore=(vocabulary, width)) as seen:  # the weights and their gradient
        made.token_scores(PROMPTS, tokens, tokens > 0, entropy=True, chunk_tokens=chunk).logprobs.sum().backward()
    assert seen.elements == chunk * vocabulary
