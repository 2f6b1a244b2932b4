"""KL penalty to a reference policy, as a loss."""

from __future__ import annotations

from typing import ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.objectives.aggregate import Aggregation, aggregate, shares
from pilothouse.objectives.base import Batch, Objective

KLKind: TypeAlias = Literal["k1", "k2", "k3"]


def kl_estimate(
    logprobs: Float[Tensor, "B T"], ref_logprobs: Float[Tensor, "B T"], kind: KLKind
) -> Float[Tensor, "B T"]:
    """Return a one-sample estimate of ``KL(pi || pi_ref)`` at each token, drawn from ``pi``.

    With ``d = log pi - log pi_ref``, and the expected gradient each has when it is used as a loss:

    ====  ===================  =======================  ==========================================
    kind  formula              as an estimate           as a loss, in expectation over ``pi``
    ====  ===================  =======================  ==========================================
    k1    ``d``                unbiased, high variance  0: it does not pull towards the reference
    k2    ``d^2 / 2``          biased, low variance     the gradient of KL(pi || pi_ref)
    k3    ``e^-d - 1 + d``     unbiased, never < 0      the gradient of KL(pi_ref || pi)
    ====  ===================  =======================  ==========================================

    Args:
        logprobs: [B, T] under the policy being trained.
        ref_logprobs: [B, T] under the reference policy.
        kind: which estimator.

    Source: Schulman 2020, "Approximating KL divergence"; k3 is that of GRPO (arXiv 2402.03300, equation 4).
    """
    gap = logprobs - ref_logprobs
    if kind == "k1":
        return gap
    if kind == "k2":
        return gap.square() / 2
    return torch.expm1(-gap) + gap


class ReferenceKL(Objective):
    """Keeps the policy near a reference: ``clipped + 0.04*kl``. No correction is made for tokens of an older policy.

    Args:
        kind: estimator, see ``kl_estimate``.
        aggregation: how token losses are averaged.
    """

    name: ClassVar[str] = "kl"
    needs: ClassVar[frozenset[str]] = frozenset({"ref_logprobs"})
    reads_credit: ClassVar[bool] = False
    kind: KLKind = "k3"
    aggregation: Aggregation = "token-mean"

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the penalty and the mean estimate a token."""
        reference = self.supplied(batch.ref_logprobs, "ref_logprobs")
        here, there = (torch.where(batch.mask, each, 0.0) for each in (batch.logprobs, reference))
        estimate = kl_estimate(here, there, self.kind)
        loss = aggregate(estimate, batch.mask, self.aggregation, batch.totals)
        return loss, shares(batch.mask, batch.totals, kl=estimate)
