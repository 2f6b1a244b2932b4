"""Dynamic dual-level down-sampling: the rollouts of largest credit variance, and in them the tokens that matter."""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.max_variance import MaxVariance
from pilothouse.credit.schedule import LinearSchedule, Share
from pilothouse.credit.top_tokens import TopTokens


class D3S(MaxVariance):
    """``max-variance + top-tokens`` with one schedule for both, around any credit (arXiv 2509.22115).

    Both shares move in a straight line over training, so that few high-signal samples are not learnt by heart. The
    paper does not publish them; the defaults are the milder of two settings that were tried for it.

    Args:
        k: share of the tokens of the kept episodes to train on, constant or from start to end of training.
    """

    name: ClassVar[str] = "d3s"
    n: Share = LinearSchedule(start=0.5, end=1.0)
    k: Share = LinearSchedule(start=0.5, end=1.0)

    def requirements(self) -> frozenset[str]:
        """Return "entropies", unless every token is kept anyway."""
        return self._tokens().requirements()

    def narrow(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], progress: float) -> Rollouts:
        """Take all but the chosen tokens of the chosen episodes out of ``train_mask``."""
        tokens = self._tokens()
        narrowed = tokens.narrow(super().narrow(rollouts, weights, progress), weights, progress)
        self._figures |= tokens.figures()
        return narrowed

    def _tokens(self) -> TopTokens:
        return TopTokens(k=self.k)
