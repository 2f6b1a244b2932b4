"""A short way through one decoding step of the common pre-norm transformer (Llama, Qwen2, Qwen3, in float32).

A step of a small model is mostly the cost of starting many tiny operations. This walks the model's own modules for
projections and feed-forward blocks, so adapters and biases keep working, and replaces what lies between them: fused
RMS norms, rotary embedding without copies, and attention straight on the row cache. The decoder uses it only after its
logits agreed with the model's own.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

from pilothouse.engines.kv import KVPool

KNOWN = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")


def _norm(module: Any, x: Tensor) -> Tensor:
    # One pass for the length and two for the scaling; the processor's own rms_norm takes six.
    length = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = length.square_().div_(x.shape[-1]).add_(module.variance_epsilon).rsqrt_()
    return (x * scale).mul_(module.weight)


def _rotate(x: Float[Tensor, "B heads size"], cos: Tensor, sin: Tensor) -> Float[Tensor, "B heads size"]:
    """Rotate pairs (i, i + size / 2) of each head."""
    low, high = x.chunk(2, -1)
    out = torch.empty_like(x)
    first, second = out.chunk(2, -1)
    torch.mul(low, cos, out=first).addcmul_(high, sin, value=-1)
    torch.mul(high, cos, out=second).addcmul_(low, sin)
    return out


class ShortStep:
    """One token for each of B rows.

    Args:
        model: a model of one of the ``KNOWN`` classes.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model

    @staticmethod
    def fits(model: PreTrainedModel) -> bool:
        """Return whether the model may be run this way: a known class, float32, one attention, nobody listening in."""
        return (
            type(model).__name__ in KNOWN
            and model.dtype == torch.float32
            and getattr(model.config, "_attn_implementation", "") == "sdpa"
            and getattr(model.config, "hidden_act", "") == "silu"
            and "sliding_attention" not in (getattr(model.config, "layer_types", None) or ())
            and not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        )

    def __call__(
        self,
        tokens: Int[Tensor, " B"],
        positions: Int[Tensor, "B 1"],
        mask: Float[Tensor, "B 1 1 columns"],
        pool: KVPool,
    ) -> Float[Tensor, "B V"]:
        """Return the logits after each token.

        Args:
            tokens: [B] token to feed to each row.
            positions: [B, 1] its position.
            mask: [B, 1, 1, columns] additive attention mask.
            pool: the cache, opened at the same positions.
        """
        body = self.model.model
        x = body.embed_tokens(tokens)
        cos, sin = body.rotary_emb(x, positions)
        half = cos.shape[-1] // 2
        cos, sin = cos[..., :half], sin[..., :half]
        for index, layer in enumerate(body.layers):
            mixed = self._attend(layer.self_attn, index, _norm(layer.input_layernorm, x), cos, sin, mask, pool)
            x = mixed.add_(x)
            x = self._mix(layer.mlp, _norm(layer.post_attention_layernorm, x)).add_(x)
        return self.model.lm_head(_norm(body.norm, x))

    @staticmethod
    def _mix(mlp: Any, x: Float[Tensor, "B D"]) -> Float[Tensor, "B D"]:
        return mlp.down_proj(F.silu(mlp.gate_proj(x), inplace=True).mul_(mlp.up_proj(x)))

    @staticmethod
    def _attend(
        attention: Any, index: int, x: Float[Tensor, "B D"], cos: Tensor, sin: Tensor, mask: Tensor, pool: KVPool
    ) -> Float[Tensor, "B D"]:
        count, size = len(x), attention.head_dim
        query = attention.q_proj(x).view(count, -1, size)
        key = attention.k_proj(x).view(count, -1, size)
        value = attention.v_proj(x).view(count, -1, 1, size)
        if hasattr(attention, "q_norm"):
            query, key = _norm(attention.q_norm, query), _norm(attention.k_norm, key)
        query, key = _rotate(query, cos, sin), _rotate(key, cos, sin)[:, :, None]
        keys, values = pool.update(key, value, index)
        # Queries that share a key-value head go in as rows of one small matrix.
        query = query.view(count, keys.shape[1], -1, size)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=attention.scaling)
        return attention.o_proj(mixed.reshape(count, -1))
