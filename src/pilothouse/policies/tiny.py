"""The tiny default policy: about a million parameters and one token per character, learnt in a minute on a CPU."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from pilothouse.core.errors import ConfigError, nearest
from pilothouse.core.parts import Settings
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.heads import HeadSettings

SPECIAL = ("<pad>", "<eos>", "<unk>")


class TinyShape(Settings):
    """Width and depth of a tiny transformer.

    Args:
        width: hidden width D.
        layers: transformer blocks.
        heads: attention heads.
        kv_heads: key-value heads; divides ``heads``.
        head_dim: width of one head.
        mlp: inner width of the feed-forward blocks.
        context: longest prompt and response together, in tokens.
    """

    width: Annotated[int, Field(ge=1)] = 128
    layers: Annotated[int, Field(ge=1)] = 4
    heads: Annotated[int, Field(ge=1)] = 4
    kv_heads: Annotated[int, Field(ge=1)] = 2
    head_dim: Annotated[int, Field(ge=2)] = 32
    mlp: Annotated[int, Field(ge=1)] = 512
    context: Annotated[int, Field(ge=2)] = 256


SIZES = {
    "nano": TinyShape(width=32, layers=2, heads=2, kv_heads=1, head_dim=16, mlp=64),
    "1m": TinyShape(),
}


def character_tokenizer(character_set: str, context: int = 256) -> PreTrainedTokenizerFast:
    """Return a tokenizer with one id per character that decodes to exactly what it encoded, spaces included.

    Args:
        character_set: the characters it knows; any other becomes ``<unk>``. Order and repetition do not matter.
        context: longest sequence, in tokens.

    Raises:
        ConfigError: the set is empty.
    """
    if not character_set:
        raise ConfigError("a character tokenizer needs at least one character; give the task a character_set")
    vocabulary = {token: i for i, token in enumerate((*SPECIAL, *sorted(set(character_set))))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="<eos>",
        unk_token="<unk>",
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )


def tiny_policy(
    character_set: str, seed: int, size: str | TinyShape = "1m", *, value_head: bool | HeadSettings = False
) -> CausalPolicy:
    """Return a freshly initialised Qwen3-architecture policy over characters; the global RNG is left as it was.

    Args:
        character_set: the characters the policy reads and writes.
        seed: seed of the weights.
        size: a name of ``SIZES`` or a shape of your own.
        value_head: whether to add a value head; settings make it more than a linear map.

    Raises:
        ConfigError: the size is unknown or the character set empty.
    """
    if isinstance(size, str):
        if size not in SIZES:
            raise ConfigError(f"unknown tiny policy size '{size}'{nearest(size, SIZES)}")
        size = SIZES[size]
    tokenizer = character_tokenizer(character_set, size.context)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        head_dim=size.head_dim,
        intermediate_size=size.mlp,
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=SPECIAL.index("<eos>"),
        pad_token_id=SPECIAL.index("<pad>"),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen3ForCausalLM(config)
    return CausalPolicy(model, tokenizer, value_head=value_head)
