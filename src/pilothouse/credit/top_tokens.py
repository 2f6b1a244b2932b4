"""Token down-sampling: train on the tokens where much is at stake and the policy is undecided."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float
from pydantic import PrivateAttr
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select
from pilothouse.credit.schedule import LinearSchedule, Share

By: TypeAlias = Literal["weighted-entropy", "entropy"]


def top_token_mask(score: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"], fraction: float) -> Bool[Tensor, "N T"]:
    """Return the ``ceil(fraction x valid)`` tokens of largest score, pooled over the batch; never one of score 0.

    Args:
        score: [N, T] not negative.
        mask: [N, T] valid tokens.
        fraction: share of the valid tokens to keep, in (0, 1]; of equal scores the earlier position wins.

    Raises:
        ConfigError: the fraction is not in (0, 1].
    """
    if not 0 < fraction <= 1:
        raise ConfigError(f"cannot keep a share of {fraction} of the tokens; give one above 0 and at most 1")
    places = mask.flatten().nonzero().flatten()
    count = math.ceil(fraction * len(places) - 1e-9)  # 0.1 x 30 is 3, whatever floating point makes of it
    values = score.flatten()[places]
    best = values.argsort(descending=True, stable=True)[:count]
    kept = torch.zeros(mask.numel(), dtype=torch.bool)
    kept[places[best]] = values[best] > 0
    return kept.reshape(mask.shape)


class TopTokens(Select):
    """Keeps the trained tokens with the largest ``|credit| x entropy``, once the credit is known.

    With ``by="entropy"`` and a fifth of the tokens it is the 80/20 rule (Wang et al. 2025, arXiv 2506.01939).

    Args:
        k: share of the trained tokens to keep, constant or from start to end of training.
        by: "weighted-entropy" (D3S, arXiv 2509.22115) or "entropy" alone.
    """

    name: ClassVar[str] = "top-tokens"
    selects_unfinished: ClassVar[bool] = True
    k: Share = LinearSchedule(start=0.2, end=0.2)
    by: By = "weighted-entropy"
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts unchanged: the choice waits for the credit."""
        return rollouts

    def requirements(self) -> frozenset[str]:
        """Return "entropies", unless every token is kept anyway."""
        return frozenset[str]() if self.k.always_all else frozenset({"entropies"})

    def narrow(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], progress: float) -> Rollouts:
        """Take all but the chosen tokens out of ``train_mask``.

        Raises:
            ConfigError: tokens must be chosen and the rollouts have no entropies.
        """
        share = self.k(progress)
        before = int(rollouts.train_mask.sum())
        if share < 1:
            if rollouts.entropies is None:
                raise ConfigError(f"selector '{self.name}' needs entropies; compute them first or set k to 1")
            stake = weights.abs() if self.by == "weighted-entropy" else (weights != 0).float()
            # The same state scored in two micro-batches differs in its last digits, which must not break a tie.
            score = torch.where(rollouts.train_mask, stake * rollouts.entropies, 0.0).round(decimals=4)
            rollouts = rollouts.replace(train_mask=top_token_mask(score, rollouts.train_mask, share))
        self._figures = {"kept_tokens": int(rollouts.train_mask.sum()) / max(before, 1)}
        return rollouts

    def figures(self) -> dict[str, float]:
        """Return the share of the tokens kept at the last step."""
        return self._figures
