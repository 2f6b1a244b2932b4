"""A regression loss that keeps the mean error small in every fifth of the truths."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import ConfigError

FIFTHS = (0.2, 0.4, 0.6, 0.8)


class QuintileBiasMSE(torch.nn.Module):
    """``mean((yhat - y)^2) + lambda_b max_q (mean of yhat - y over units whose truth is in fifth q)^2``.

    A module, so that the cut points, taken once from the training labels, move and are saved with the model. A fifth
    with no unit in a batch counts as without bias; batches should hold some of each.

    Args:
        truths: [n] training labels.
        lambda_b: weight of the bias; the authors' default is 5, their analyses take 15.

    Raises:
        ConfigError: the weight is negative, or there are no labels.

    Source: Ratledge et al. 2022, as described in One Map, Many Trials, arXiv 2508.01341.
    """

    cuts: Tensor

    def __init__(self, truths: Float[Tensor, " n"], lambda_b: float = 5.0) -> None:
        super().__init__()
        if lambda_b < 0 or not truths.numel():
            raise ConfigError(
                f"lambda_b={lambda_b} with {truths.numel()} labels: give at least one and a weight of 0 up"
            )
        self.lambda_b = lambda_b
        self.register_buffer("cuts", torch.quantile(truths.double(), truths.new_tensor(FIFTHS).double()))

    def forward(self, predictions: Float[Tensor, " B"], truths: Float[Tensor, " B"]) -> Float[Tensor, ""]:
        """Return the loss of a batch.

        Args:
            predictions: [B] carries the gradient.
            truths: [B] labels; one on a cut falls into the upper fifth, all above the last cut into the top one.
        """
        error = predictions - truths
        fifth = torch.bucketize(truths.double(), self.cuts, right=True)
        zeros = error.new_zeros(len(FIFTHS) + 1)
        sums = zeros.scatter_add(0, fifth, error)
        counts = zeros.scatter_add(0, fifth, torch.ones_like(error))
        return error.square().mean() + self.lambda_b * (sums / counts.clamp(min=1)).square().max()
