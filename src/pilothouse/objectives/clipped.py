"""The clipped surrogate: PPO, GRPO, DAPO, Dr. GRPO and GSPO are settings of this one loss."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from pilothouse.core.parts import SLOT
from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective
from pilothouse.objectives.importance import Correction, NoCorrection

Ratio: TypeAlias = Literal["token", "sequence"]


def log_ratios(
    logprobs: Float[Tensor, "B T"], old_logprobs: Float[Tensor, "B T"], mask: Bool[Tensor, "B T"], ratio: Ratio
) -> Float[Tensor, "B T"]:
    """Return ``log(pi / pi_old)`` of each token, 0 where masked out.

    Args:
        logprobs: [B, T] under the policy being trained.
        old_logprobs: [B, T] under the policy that started the update.
        mask: [B, T] tokens with a loss.
        ratio: "token", or "sequence" for the mean over the sequence's tokens (Zheng et al. 2025, arXiv 2507.18071,
            equation 7).
    """
    each = torch.where(mask, logprobs - old_logprobs, 0.0)
    if ratio == "token":
        return each
    mean = each.sum(dim=1, keepdim=True) / mask.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.where(mask, mean, 0.0)


def clipped_surrogate(
    ratio: Float[Tensor, "B T"],
    weights: Float[Tensor, "B T"],
    eps_low: float,
    eps_high: float,
    dual_clip: float | None = None,
) -> Float[Tensor, "B T"]:
    """Return ``-min(ratio * A, clip(ratio, 1 - eps_low, 1 + eps_high) * A)`` of each token.

    Args:
        ratio: [B, T] probability ratio of each token.
        weights: [B, T] credit A.
        eps_low: room below 1.
        eps_high: room above 1.
        dual_clip: bound c on the loss of tokens with negative credit, ``-c * A``.

    Source: Schulman et al. 2017, arXiv 1707.06347, equation 7; decoupled bounds: Yu et al. 2025, arXiv 2503.14476,
    equation 10; dual clip: Ye et al. 2020, arXiv 1912.09729, equation 5.
    """
    loss = torch.maximum(-ratio * weights, -ratio.clamp(1 - eps_low, 1 + eps_high) * weights)
    if dual_clip is None:
        return loss
    return torch.where(weights < 0, torch.minimum(loss, -dual_clip * weights), loss)


class Clipped(Objective):
    """The clipped surrogate of PPO, with the refinements that its successors made to it.

    PPO and Lite PPO: the defaults. GRPO: ``aggregation="sequence-mean"``. DAPO: ``eps_high=0.28``. Dr. GRPO:
    ``aggregation="fixed-length"``. GSPO: the part called "gspo".

    Args:
        eps_low: room for the probability ratio below 1.
        eps_high: room above 1; larger than eps_low is "clip-higher".
        dual_clip: bound c > 1 on the loss of tokens with negative credit; off by default.
        ratio: "token", or "sequence" for the length-normalised ratio of the whole sequence.
        aggregation: how token losses are averaged.
        correction: weights for the gap between sampler and trainer.
    """

    name: ClassVar[str] = "clipped"
    weights_only: ClassVar[bool] = True
    eps_low: Annotated[float, Field(ge=0, le=1)] = 0.2
    eps_high: Annotated[float, Field(ge=0)] = 0.2
    dual_clip: Annotated[float, Field(gt=1)] | None = None
    ratio: Ratio = "token"
    aggregation: Aggregation = "token-mean"
    correction: Annotated[Correction, SLOT] = NoCorrection()

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss and its clip fractions, the mean of ``ratio - 1`` and the KL from the old policy (k3)."""
        weights, mask = batch.weights, batch.mask
        log_ratio = log_ratios(batch.logprobs, batch.old_logprobs, mask, self.ratio)
        ratio = log_ratio.exp()
        loss = clipped_surrogate(ratio, weights, self.eps_low, self.eps_high, self.dual_clip)
        correction, metrics = self.correction(batch)
        if correction is not None:
            loss = loss * correction.detach()
        with torch.no_grad():
            figures = shares(
                mask,
                batch.totals,
                clip_low=(ratio < 1 - self.eps_low) & (weights < 0),
                clip_high=(ratio > 1 + self.eps_high) & (weights > 0),
                ratio_shift=ratio - 1,
                approx_kl=log_ratio.expm1() - log_ratio,
            )
        return aggregate(loss, mask, self.aggregation, batch.totals), {**figures, **metrics}

    def takes_unfinished(self) -> bool:
        """Return whether the ratio is a token's: that of a sequence is one of all its tokens."""
        return self.ratio == "token"


class GSPO(Clipped):
    """The clipped surrogate on the sequence ratio (Zheng et al. 2025, arXiv 2507.18071, equations 5 and 7).

    The narrow bounds are the paper's (section 5.1); a length-normalised ratio moves far less than a token's.
    """

    name: ClassVar[str] = "gspo"
    eps_low: Annotated[float, Field(ge=0, le=1)] = 3e-4
    eps_high: Annotated[float, Field(ge=0)] = 4e-4
    ratio: Ratio = "sequence"
    aggregation: Aggregation = "sequence-mean"
