"""Risk measures of a score as policy gradients: the tails of the distribution weigh other than its middle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, assert_never

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.errors import ConfigError

Measure: TypeAlias = Literal["mvar", "mvar-normalized", "cvar", "rvar", "upper-cvar", "risk-seeking"]


@dataclass(frozen=True)
class TailWeights:
    """How much a unit of score counts, by where it lies.

    Args:
        lower: below the lower quantile.
        middle: between the two.
        upper: above the upper one.
    """

    lower: float
    middle: float
    upper: float


def tail_weights(measure: Measure, alpha: float, beta: float, omega: float = 0.5) -> TailWeights:
    """Return the weights that make a risk measure of ``integral of weight times F^-1``.

    ===============  ================  =================  ===============
    measure          lower             middle             upper
    ===============  ================  =================  ===============
    mvar             w                 1                  0
    mvar-normalized  w/(w+1) / alpha   1/(w+1) / (b - a)  0
    cvar             1 / alpha         0                  0
    rvar             0                 1 / (b - a)        0
    upper-cvar       0                 0                  1 / (1 - b)
    risk-seeking     0                 1/(w+1) / (b - a)  w/(w+1) / (1-b)
    ===============  ================  =================  ===============

    Here ``w = 1 + omega``, a is alpha and b is beta. "mvar" is the paper's form, "mvar-normalized" that of the released
    code, which weighs the tail far more, and "risk-seeking" the code's control.

    Args:
        measure: its name.
        alpha: lower quantile level.
        beta: upper quantile level.
        omega: additional weight of the lower tail in the mixed measures.

    Raises:
        ConfigError: not ``0 < alpha < beta < 1``.

    Source: Ren et al. 2025 (RiskPO), arXiv 2510.00911, the definitions of RVaR and MVaR and the released code.
    """
    if not 0 < alpha < beta < 1:
        raise ConfigError(f"risk levels need 0 < alpha < beta < 1, not alpha = {alpha} and beta = {beta}")
    mix = 1 + omega
    share, inside = 1 / (mix + 1), 1 / (beta - alpha)
    match measure:
        case "mvar":
            return TailWeights(mix, 1.0, 0.0)
        case "mvar-normalized":
            return TailWeights(mix * share / alpha, share * inside, 0.0)
        case "cvar":
            return TailWeights(1 / alpha, 0.0, 0.0)
        case "rvar":
            return TailWeights(0.0, inside, 0.0)
        case "upper-cvar":
            return TailWeights(0.0, 0.0, 1 / (1 - beta))
        case "risk-seeking":
            return TailWeights(0.0, share * inside, mix * share / (1 - beta))
        case _:  # pragma: no cover
            assert_never(measure)


def risk_advantage(
    scores: Float[Tensor, "K G"],
    low: Float[Tensor, "K 1"],
    high: Float[Tensor, "K 1"],
    weights: TailWeights,
    *,
    natural_baseline: bool = True,
) -> Float[Tensor, "K G"]:
    """Return ``-lower (low - S)^+ + middle (clip(S, low, high) - high) + upper (S - high)^+``.

    Its product with the score function is an unbiased gradient of the risk measure when the quantiles are exact. With
    the natural baseline a risk-averse advantage is never positive, and is 0 from the upper quantile on; without it
    ``middle (high - low)`` is added, which changes no expectation.

    Args:
        scores: [K, G] scores of G bundles in each of K blocks.
        low: lower quantile of each block.
        high: upper quantile; one below ``low`` counts as equal to it.
        weights: the risk measure.
        natural_baseline: see above.

    Raises:
        ConfigError: a score is not finite.

    Source: Ren et al. 2025 (RiskPO), arXiv 2510.00911, the gradients of RVaR and MVaR.
    """
    if not scores.isfinite().all():
        raise ConfigError("a risk measure needs finite scores; leave out episodes whose verifier failed")
    high = torch.maximum(low, high)
    middle = torch.minimum(torch.maximum(scores, low), high) - (high if natural_baseline else low)
    lower, upper = (low - scores).clamp(min=0), (scores - high).clamp(min=0)
    return weights.middle * middle - weights.lower * lower + weights.upper * upper


def risk_value(
    scores: Float[Tensor, " K"], probabilities: Float[Tensor, " K"], weights: TailWeights, alpha: float, beta: float
) -> Float[Tensor, ""]:
    """Return the risk measure of a discrete distribution, differentiable in its probabilities.

    Args:
        scores: [K] outcomes.
        probabilities: [K] their probabilities; they sum to 1.
        weights: the risk measure.
        alpha: lower quantile level.
        beta: upper quantile level.
    """
    order = scores.argsort()
    ends = probabilities[order].cumsum(0)
    starts = torch.cat([torch.zeros_like(ends[:1]), ends[:-1]])

    def mass(a: float, b: float) -> Float[Tensor, " K"]:
        return (ends.clamp(max=b) - starts.clamp(min=a)).clamp(min=0)

    parts = weights.lower * mass(0.0, alpha) + weights.middle * mass(alpha, beta) + weights.upper * mass(beta, 1.0)
    return (parts * scores[order]).sum()
