"""A memory estimate before the first step, so that a run that cannot fit says so at once."""

from __future__ import annotations

from dataclasses import dataclass

from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.head_scores import chunk_size
from pilothouse.training.recipe import PolicyGradient

_MIB = 2**20


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes by purpose, each an estimate from shapes.

    Args:
        weights: parameters as stored.
        gradients: gradients of the trainable parameters.
        optimizer: AdamW's two moments and float32 master copies.
        reference: a frozen copy, if the objective takes a KL to it.
        critic: a value network of its own, with its gradients and its optimiser.
        activations: the network's saved activations of one micro-batch.
        logits: the largest block of logits held at a time, with its gradient.
        cache: keys and values of a full batch of sampled rows.
    """

    weights: int
    gradients: int
    optimizer: int
    reference: int
    critic: int
    activations: int
    logits: int
    cache: int

    @property
    def total(self) -> int:
        """Bytes in all; sampling and training take turns, so the larger of their peaks counts."""
        fixed = self.weights + self.gradients + self.optimizer + self.reference + self.critic
        return fixed + max(self.activations + self.logits, self.cache)

    def __str__(self) -> str:
        """Return one line in MiB."""
        pieces = ", ".join(f"{name} {getattr(self, name) / _MIB:,.0f}" for name in self.__dataclass_fields__)
        return f"memory estimate {self.total / _MIB:,.0f} MiB ({pieces})"


def estimate_memory(policy: CausalPolicy, recipe: PolicyGradient, rows: int, tokens_per_row: int) -> MemoryEstimate:
    """Return what a training step is expected to need.

    Args:
        policy: the policy.
        recipe: parts and settings.
        rows: rows the engine keeps in flight.
        tokens_per_row: longest prompt and response together.
    """
    config, settings = policy.model.config, recipe.training
    item = policy.dtype.itemsize
    everything = sum(p.numel() for p in policy.model.parameters())
    trainable = sum(p.numel() for p in policy.trainable_parameters().values())
    hidden, layers = config.hidden_size, config.num_hidden_layers
    inner = getattr(config, "intermediate_size", 0) or 4 * hidden
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", 0) or hidden // heads
    kv_heads = getattr(config, "num_key_value_heads", 0) or heads
    per_token = 2 * hidden if settings.gradient_checkpointing else layers * (8 * hidden + 3 * inner + 4 * heads * width)
    micro = max(settings.micro_tokens, tokens_per_row)
    moments = trainable * (8 if item == 4 else 12)
    return MemoryEstimate(
        weights=everything * item,
        gradients=trainable * item,
        optimizer=moments,
        reference=everything * item if "ref_logprobs" in recipe.needs else 0,
        critic=(everything + trainable) * item + moments if recipe.critic.network == "separate" else 0,
        activations=micro * per_token * item,
        logits=min(chunk_size(config.vocab_size, settings.chunk_tokens), micro) * config.vocab_size * 4 * 2,
        cache=rows * tokens_per_row * layers * 2 * kv_heads * width * item,
    )
