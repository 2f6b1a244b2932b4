"""Log-probabilities and entropies from hidden states, in chunks, so that [N, T, V] logits never exist."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK_BYTES = 64 * 2**20  #: logits in memory at a time, in bytes of float32


@dataclass(frozen=True)
class LogitShape:
    """How a model turns its head's output into logits: ``cap * tanh(scale * output / cap)``.

    Args:
        scale: factor on the head's output.
        cap: soft limit of the logits; 0 means none.
    """

    scale: float = 1.0
    cap: float = 0.0

    @staticmethod
    def of(config: Any) -> LogitShape:
        """Return what the names in use in model configurations say.

        Args:
            config: a Hugging Face text configuration.
        """
        divisor = float(getattr(config, "logits_scaling", None) or 1.0)
        factor = float(getattr(config, "logit_scale", None) or getattr(config, "lm_head_multiplier", None) or 1.0)
        return LogitShape(factor / divisor, float(getattr(config, "final_logit_softcapping", None) or 0.0))

    def apply(self, outputs: Float[Tensor, "M V"]) -> Float[Tensor, "M V"]:
        """Turn the head's float32 output into logits, in place.

        Args:
            outputs: [M, V] overwritten.
        """
        if self.scale != 1.0:
            outputs.mul_(self.scale)
        if self.cap:
            outputs.div_(self.cap).tanh_().mul_(self.cap)
        return outputs


def chunk_size(vocabulary: int, chunk_tokens: int | None = None) -> int:
    """Return how many tokens' logits are held at a time.

    Args:
        vocabulary: V.
        chunk_tokens: the number, if the caller wants to choose; else what fits ``CHUNK_BYTES``.
    """
    return chunk_tokens or max(1, CHUNK_BYTES // (4 * vocabulary))


def head_scores(
    hidden: Float[Tensor, "M D"],
    weight: Float[Tensor, "V D"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " M"],
    temperature: Float[Tensor, " M"],
    shape: LogitShape,
    chunk: int,
    entropy: bool,
) -> tuple[Float[Tensor, " M"], Float[Tensor, " M"]]:
    """Return the log-probability of each target and the entropy at it (0 unless asked for), float32, differentiable.

    At most ``chunk`` rows of logits exist at a time, forward and backward. Backward computes them again, unless all M
    rows fit in one chunk.

    Args:
        hidden: [M, D] states the targets are predicted from.
        weight: [V, D] of the language model's head.
        bias: [V] of the head, if it has one.
        targets: [M] token ids.
        temperature: [M] softmax temperatures.
        shape: how the head's output becomes logits.
        chunk: rows at a time.
        entropy: whether to compute the entropy.
    """
    return _HeadScores.apply(hidden, weight, bias, targets, temperature, shape, chunk, entropy)  # type: ignore


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, shape: LogitShape) -> Tensor:
    return shape.apply(torch.nn.functional.linear(hidden, weight, bias).float())


class _HeadScores(torch.autograd.Function):
    """With log p = log_softmax(z / temperature) and H its entropy: dlogp_y/dz = 1_y - p and dH/dz = -p (log p + H)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        temperature: Tensor,
        shape: LogitShape,
        chunk: int,
        wanted: bool,
    ) -> tuple[Tensor, Tensor]:
        logprobs = torch.zeros(len(hidden), dtype=torch.float32, device=hidden.device)
        entropy = torch.zeros_like(logprobs)
        kept = None
        for start in range(0, len(hidden), chunk):
            rows = slice(start, start + chunk)
            logp = _logits(hidden[rows], weight, bias, shape).div_(temperature[rows, None])
            logp.sub_(logp.logsumexp(1, keepdim=True))
            logprobs[rows] = logp.gather(1, targets[rows, None])[:, 0]
            if wanted:
                entropy[rows] = (logp.exp() * logp).sum(1).neg_()
            if len(hidden) <= chunk and not shape.cap:
                kept = logp
        ctx.save_for_backward(hidden, weight, bias, targets, temperature, entropy, kept)
        ctx.shape, ctx.chunk, ctx.wanted = shape, chunk, wanted
        return logprobs, entropy

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        hidden, weight, bias, targets, temperature, entropy, kept = ctx.saved_tensors
        shape: LogitShape = ctx.shape
        to_hidden = torch.empty_like(hidden)
        # A sum over many chunks in bfloat16 would lose the small ones.
        to_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        to_bias = torch.zeros_like(bias, dtype=torch.float32) if ctx.needs_input_grad[2] else None
        for start in range(0, len(hidden), ctx.chunk):
            rows = slice(start, start + ctx.chunk)
            slope = None
            if kept is None:
                logp = _logits(hidden[rows], weight, bias, shape)
                slope = logp.div(shape.cap).square_().neg_().add_(1.0) if shape.cap else None
                logp.div_(temperature[rows, None])
                logp.sub_(logp.logsumexp(1, keepdim=True))
            else:
                logp = kept.clone() if ctx.wanted else kept
            pull = grads[0][rows, None]
            if ctx.wanted:
                bend = (logp + entropy[rows, None]).mul_(grads[1][rows, None]).add_(pull)
                grad = logp.exp_().mul_(bend).neg_()
            else:
                grad = logp.exp().mul_(-pull)
            grad.scatter_add_(1, targets[rows, None], pull)
            grad.mul_(shape.scale / temperature[rows, None])
            if slope is not None:
                grad.mul_(slope)
            grad_low = grad.to(hidden.dtype)
            to_hidden[rows] = grad_low @ weight
            if to_weight is not None:
                to_weight += grad_low.T @ hidden[rows]
            if to_bias is not None:
                to_bias += grad.sum(0)
        lowered = (None if g is None else g.to(hidden.dtype) for g in (to_weight, to_bias))
        return to_hidden, *lowered, None, None, None, None, None
