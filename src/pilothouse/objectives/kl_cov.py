"""KL-Cov: the plain policy gradient, with a leash on the few tokens that eat up the entropy."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective


def covariances(
    logprobs: Float[Tensor, "N T"], weights: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]
) -> Float[Tensor, "N T"]:
    """Return ``(A - mean A) (log pi - mean log pi)`` of each token, means over the mask; 0 off it.

    A step along the policy gradient lowers the entropy by about the sum of these.

    Args:
        logprobs: [N, T] log-probabilities of the taken tokens.
        weights: [N, T] credit A of each token.
        mask: [N, T] tokens with a loss.

    Source: Cui et al. 2025, arXiv 2505.22617, equation 10.
    """
    if not mask.any():
        return torch.zeros_like(logprobs)
    found = (weights - weights[mask].mean()) * (logprobs - logprobs[mask].mean())
    return torch.where(mask, found, 0.0)


def top_covariances(
    logprobs: Float[Tensor, "N T"], weights: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"], ratio: float
) -> Bool[Tensor, "N T"]:
    """Return the ``max(1, floor(ratio x tokens))`` tokens of largest covariance.

    Args:
        logprobs: [N, T] log-probabilities of the taken tokens.
        weights: [N, T] credit of each token.
        mask: [N, T] tokens with a loss.
        ratio: share of the tokens.
    """
    places = mask.flatten().nonzero().flatten()
    count = min(max(1, int(ratio * len(places) + 1e-9)), len(places))
    values = covariances(logprobs, weights, mask).flatten()[places]
    marks = torch.zeros(mask.numel(), dtype=torch.bool, device=mask.device)
    marks[places[values.argsort(descending=True, stable=True)[:count]]] = True
    return marks.reshape(mask.shape)


class KLCov(Objective):
    """``-A rho``, plus ``coef |log pi - log pi_old|`` on the tokens of largest covariance; nothing is clipped.

    The tokens are those of the whole optimiser step under the policy just before it, which costs a forward pass. With
    several minibatches ratios can run away: watch ``approx_kl``.

    Args:
        ratio: share of the tokens that are held back.
        coef: how hard.
        aggregation: how token losses are averaged.

    Source: Cui et al. 2025, arXiv 2505.22617, equation 14; ratio and coef as in DOT (arXiv 2601.03969).
    """

    name: ClassVar[str] = "kl-cov"
    needs: ClassVar[frozenset[str]] = frozenset({"marks"})
    ratio: Annotated[float, Field(gt=0, le=1)] = 0.002
    coef: Annotated[float, Field(ge=0)] = 1.0
    aggregation: Aggregation = "sequence-mean"

    def mark(
        self, logprobs: Float[Tensor, "N T"], weights: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]
    ) -> Bool[Tensor, "N T"]:
        """Return the tokens to hold back."""
        return top_covariances(logprobs, weights, mask, self.ratio)

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the loss, the share of tokens held back, the mean of ``ratio - 1`` and the KL from the old policy."""
        marks = self.supplied(batch.marks, "marks")
        gap = torch.where(batch.mask, batch.logprobs - batch.old_logprobs, 0.0)
        loss = -gap.exp() * batch.weights + self.coef * torch.where(marks, gap.abs(), 0.0)
        with torch.no_grad():
            figures = shares(
                batch.mask, batch.totals, held_back=marks, ratio_shift=gap.expm1(), approx_kl=gap.expm1() - gap
            )
        return aggregate(loss, batch.mask, self.aggregation, batch.totals), figures
