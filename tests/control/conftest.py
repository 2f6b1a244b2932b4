"""Small policies, one that knows the answer, and small recorded data sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from pilothouse.control.offline_data import OfflineData
from pilothouse.core.columns import ColumnStatistics
from pilothouse.policies.denoisers import ResidualMLP
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy
from pilothouse.policies.normalizer import Normalizer
from pilothouse.tasks.demonstrations import Demonstrations, Trajectory


def _columns(count: int) -> ColumnStatistics:
    return ColumnStatistics.of(torch.tensor([[-1.0] * count, [1.0] * count]))


@pytest.fixture
def small() -> Callable[..., DiffusionChunkPolicy]:
    """Makes an untrained policy of 4 observed numbers and 2 acted ones."""

    def make(**changes: Any) -> DiffusionChunkPolicy:
        model = DiffusionChunk(**{"horizon": 4, "denoiser": ResidualMLP(width=16, blocks=1), **changes})
        policy = model.policy(_columns(4), _columns(2), 0)
        assert isinstance(policy, DiffusionChunkPolicy)
        return policy.eval()

    return make


class Oracle(DiffusionChunkPolicy):
    """Predicts the noise exactly where the data are N(mean, spread^2); counts the rows it is asked about."""

    mean: Any = 0.3
    spread = 0.5
    asked = 0

    def eps(self, chunk: Tensor, level: int | Tensor, condition: Tensor) -> Tensor:
        alpha = self.alphas[level]
        self.asked += len(chunk)
        return (1 - alpha).sqrt() * (chunk - alpha.sqrt() * self.mean) / (alpha * self.spread**2 + 1 - alpha)


@pytest.fixture
def oracle() -> Callable[..., Oracle]:
    """Makes a policy that knows its data are N(mean, spread^2)."""

    def make(mean: Any = 0.3, spread: float = 0.2, actions: int = 2, horizon: int = 4) -> Oracle:
        model = DiffusionChunk(horizon=horizon, denoiser=ResidualMLP(width=16, blocks=1))
        policy = Oracle(model, Normalizer.blank(4), Normalizer.blank(actions))
        policy.mean, policy.spread = mean, spread
        return policy

    return make


@pytest.fixture
def recorded() -> Callable[..., OfflineData]:
    """Make episodes of a state that the action moves, in a space from -2 to 2."""

    def make(lengths: tuple[int, ...] = (40, 40, 40, 40), terminated: bool = False, seed: int = 0) -> OfflineData:
        generator = torch.Generator().manual_seed(seed)
        episodes: list[Trajectory] = []
        for length in lengths:
            actions = 4 * torch.rand(length, 1, generator=generator) - 2
            states = torch.cat([torch.zeros(1, 1), 0.1 * actions.cumsum(0)])
            states = torch.cat([states, torch.ones_like(states)], 1)  # the second column is constant
            episodes.append(Trajectory(states, actions, -states[1:, 0].square(), terminated))
        return OfflineData(Demonstrations.of(episodes), torch.tensor([-2.0]), torch.tensor([2.0]))

    return make
