"""The control of D3S: the same counts of episodes and tokens, chosen by lot."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.d3s import D3S
from pilothouse.credit.top_tokens import top_token_mask


class RandomChoice(D3S):
    """Keeps as many episodes and tokens as D3S with the same shares would, drawn uniformly."""

    name: ClassVar[str] = "pilothouse.methods.experiments.d3s.random_choice:RandomChoice"

    def requirements(self) -> frozenset[str]:
        """Return nothing: a lot needs no entropies."""
        return frozenset()

    def narrow(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], progress: float) -> Rollouts:
        """Take all but the drawn tokens of the drawn episodes out of ``train_mask``."""
        generator = (SeedTree(self.seed) / "random" / self._batches).torch()
        self._batches += 1
        rows = rollouts.train_mask.any(dim=1).nonzero().flatten()
        count = min(max(2, int(self.n(progress) * len(rows) + 0.5)), len(rows))
        chosen = rows[torch.randperm(len(rows), generator=generator)[:count]]
        alive = torch.isin(torch.arange(len(rollouts)), chosen)
        mask = rollouts.train_mask & alive[:, None]
        lot = torch.rand(mask.shape, generator=generator) + 1e-6
        return rollouts.replace(train_mask=top_token_mask(lot * mask, mask, self.k(progress)))
