"""A short way through the common pre-norm transformer (Llama, Qwen2, Qwen3, in float32) over the row cache.

A step of a small model is mostly the cost of starting many tiny operations. This walks the model's own layers and
replaces what lies between their projections: fused RMS norms, rotary embedding of queries and keys together, attention
straight on the row cache, and in the last layer only the positions whose logits are wanted. The projections of a small
model that read the same input are joined in one matrix. The decoder uses it only after its logits agreed with the
model's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel

from pilothouse.engines.kv import KVPool

KNOWN = ("LlamaForCausalLM", "Qwen2ForCausalLM", "Qwen3ForCausalLM")
JOINED_WEIGHTS = 1 << 23  #: most weights worth a joined copy; in larger models starting an operation costs little
FIXED_ROPES = ("default", "linear", "llama3", "yarn")  #: angles that depend on the position alone


def _norm(module: Any, x: Tensor) -> Tensor:
    return F.rms_norm(x, x.shape[-1:], module.weight, module.variance_epsilon)


@dataclass
class _Joined:
    """Matrices of a layer that read the same input, one below the other."""

    heads: Tensor | None  # [H + 2 KV heads, D]
    heads_bias: Tensor | None
    head_scales: Tensor | None  # [H + KV, size] of the norms of queries and keys
    gates: Tensor | None  # [2 F, D]


def _plain(*modules: nn.Module) -> bool:
    """Return whether each is a linear layer and nothing else, such as one with an adapter."""
    return all(type(module) is nn.Linear for module in modules)


class ShortPass:
    """New tokens for B rows, one each or several.

    Args:
        model: a model of one of the ``KNOWN`` classes.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.model: Any = model
        self._joined: list[_Joined] | None = None
        self._angles: Float[Tensor, "2 positions size"] | None = None

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

    def forget(self) -> None:
        """Drop the joined matrices; the next pass makes them from the weights of then."""
        self._joined = None

    def __call__(
        self,
        tokens: Int[Tensor, "B S"],
        positions: Int[Tensor, "B S"],
        mask: Float[Tensor, "B 1 S columns"],
        pool: KVPool,
        keep: int,
    ) -> Float[Tensor, "B keep V"]:
        """Return the logits after each of the last ``keep`` tokens.

        Args:
            tokens: [B, S] tokens to feed to each row.
            positions: [B, S] their positions.
            mask: [B, 1, S, columns] additive attention mask.
            pool: the cache, opened at the same positions.
            keep: positions to return logits of.
        """
        body = self.model.model
        if self._joined is None:
            self._joined = [self._join(layer) for layer in body.layers]
        x = body.embed_tokens(tokens)
        cos, sin = self._rotation(x, positions, mask.shape[-1])
        shared = body.layers[0].self_attn.num_key_value_groups
        mask = mask if tokens.shape[1] == 1 or shared == 1 else mask.repeat_interleave(shared, 2)
        last = len(body.layers) - 1
        for index, (layer, joined) in enumerate(zip(body.layers, self._joined, strict=True)):
            read = _norm(layer.input_layernorm, x)
            if index == last and keep < tokens.shape[1]:
                x, mask = x[:, -keep:], mask[:, :, -keep * shared :]
            x = x + self._attend(layer.self_attn, joined, index, read, (cos, sin), mask, pool)
            x = self._mix(layer.mlp, joined, _norm(layer.post_attention_layernorm, x)).add_(x)
        return self.model.lm_head(_norm(body.norm, x))

    def _join(self, layer: Any) -> _Joined:
        attention, mlp = layer.self_attn, layer.mlp
        heads = (attention.q_proj, attention.k_proj, attention.v_proj)
        gates = (mlp.gate_proj, mlp.up_proj)
        joined = _Joined(None, None, None, None)
        if hasattr(attention, "q_norm"):
            counts = [head.out_features // attention.head_dim for head in heads]
            scales = (attention.q_norm.weight.expand(counts[0], -1), attention.k_norm.weight.expand(counts[1], -1))
            joined.head_scales = torch.cat(scales)
        if sum(weight.numel() for weight in self.model.parameters()) > JOINED_WEIGHTS:
            return joined
        if _plain(*heads):
            joined.heads = torch.cat([head.weight for head in heads])
            if heads[0].bias is not None:
                joined.heads_bias = torch.cat([head.bias for head in heads])
        if _plain(*gates) and gates[0].bias is None:
            joined.gates = torch.cat([gate.weight for gate in gates])
        return joined

    def _rotation(self, x: Tensor, positions: Int[Tensor, "B S"], columns: int) -> tuple[Tensor, Tensor]:
        """Return cosines and sines [B, S, 1, size] of the positions, the sines of the first half negated."""
        rotary = self.model.model.rotary_emb
        if getattr(rotary, "rope_type", "") not in FIXED_ROPES:
            cos, sin = rotary(x, positions)
        else:
            if self._angles is None or self._angles.shape[1] < columns:
                known = torch.arange(2 * columns, device=positions.device)[None]
                self._angles = torch.cat(rotary(x, known))
            cos, sin = self._angles[:, positions]
        low, high = sin.chunk(2, -1)
        return cos[:, :, None], torch.cat([-low, high], -1)[:, :, None]

    @staticmethod
    def _mix(mlp: Any, joined: _Joined, x: Float[Tensor, "B S D"]) -> Float[Tensor, "B S D"]:
        if joined.gates is None:
            return mlp.down_proj(F.silu(mlp.gate_proj(x), inplace=True).mul_(mlp.up_proj(x)))
        gate, up = F.linear(x, joined.gates).chunk(2, -1)
        return mlp.down_proj(F.silu(gate).mul_(up))

    @staticmethod
    def _attend(
        attention: Any,
        joined: _Joined,
        index: int,
        x: Float[Tensor, "B S D"],
        angles: tuple[Tensor, Tensor],
        mask: Tensor,
        pool: KVPool,
    ) -> Float[Tensor, "B keep D"]:
        rows, width, size = *x.shape[:2], attention.head_dim
        if joined.heads is None:
            parts = [attention.q_proj(x), attention.k_proj(x), attention.v_proj(x)]
            heads = torch.cat(parts, -1).view(rows, width, -1, size)
        else:
            heads = F.linear(x, joined.heads, joined.heads_bias).view(rows, width, -1, size)
        shared = attention.num_key_value_groups
        kv = heads.shape[2] // (shared + 2)
        turned, value = heads.split([(shared + 1) * kv, kv], 2)
        if joined.head_scales is not None:
            turned = F.rms_norm(turned, (size,), None, attention.q_norm.variance_epsilon).mul_(joined.head_scales)
        low, high = turned.chunk(2, -1)
        turned = (turned * angles[0]).addcmul_(torch.cat([high, low], -1), angles[1])
        query, key = turned.split([shared * kv, kv], 2)
        keys, values = pool.update(key.transpose(1, 2), value.transpose(1, 2), index)
        # Queries that share a key-value head go in as rows of one small matrix.
        keep = mask.shape[2] // shared if width > 1 else 1
        query = query[:, width - keep :].unflatten(2, (kv, shared)).transpose(1, 2).flatten(2, 3)
        mixed = F.scaled_dot_product_attention(query, keys, values, attn_mask=mask, scale=attention.scaling)
        return attention.o_proj(mixed.unflatten(2, (keep, shared)).transpose(1, 2).reshape(rows, keep, -1))
