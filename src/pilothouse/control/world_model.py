"""An ensemble of one-step models that is rolled out step by step: what trajectory diffusion is compared with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Self

import torch
from jaxtyping import Float
from pydantic import Field, PrivateAttr
from torch import Tensor
from torch.nn import functional

from pilothouse.control.columns import Pieces
from pilothouse.control.offline_data import Frame, OfflineData
from pilothouse.control.transitions import Transitions
from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import LISTED, Settings
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.normalizer import Normalizer
from pilothouse.policies.stacked import StackedMLP

_LOG_VARIANCE = (-10.0, 0.5)  # range of the predicted log-variances of normalised changes


class EnsembleWorldModel(Settings):
    """Probabilistic networks that each predict the change of the state, the reward, and whether the episode ends.

    Args:
        members: networks K, each with weights and batches of its own.
        hidden: widths of the hidden layers.
        batch: transitions in each member's batch.
        learning_rate: Adam's, falling along a cosine to 0.
        draw: whether a rollout draws from the predicted Gaussian; otherwise it takes the mean.

    Source: PETS, arXiv 1805.12114, sections 4 and 5.
    """

    members: Annotated[int, Field(ge=1)] = 5
    hidden: Annotated[tuple[int, ...], LISTED] = (96, 96)
    batch: Annotated[int, Field(ge=1)] = 256
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    draw: bool = True

    _frame: Frame = PrivateAttr(default_factory=lambda: Frame.blank(0, 0))
    _change: Normalizer = PrivateAttr(default_factory=lambda: Normalizer.blank(0))
    _net: StackedMLP | None = PrivateAttr(default=None)

    def fit(
        self,
        data: OfflineData,
        steps: int = 5_000,
        seeds: SeedTree | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Self:
        """Learn from the beginning.

        Args:
            data: what was recorded.
            steps: batches to learn from.
            seeds: node of every draw.
            progress: called with the steps done and all steps.
        """
        seeds, steps_of = seeds or SeedTree(0), data.transitions
        self._frame = data.frame
        self._change = Normalizer.standard(ColumnStatistics.of(_changes(steps_of)))
        width = data.frame.states + 1
        self._net = StackedMLP(
            (data.frame.states + data.frame.width, *self.hidden, 2 * width + 1),
            self.members,
            (seeds / "weights").torch(),
        )
        adam = torch.optim.Adam(self._net.parameters(), lr=self.learning_rate, fused=True)
        slower = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
        draws = (seeds / "draws").torch()
        for done in range(steps):
            batch = steps_of.draw(self.members * self.batch, draws)
            loss = self._loss(batch)
            adam.zero_grad()
            loss.backward()
            adam.step()
            slower.step()
            progress(done + 1, steps)
        return self

    @torch.no_grad()
    def rollout(self, policy: Any, start: Float[Tensor, "N D"], horizon: int, generator: torch.Generator) -> Pieces:
        """Return trajectories of ``horizon`` steps under a policy; every step asks a member drawn anew.

        Args:
            policy: with ``mean(observations)``.
            start: [N, D] first states.
            horizon: steps H; there are H + 1 rows, the last of which has action and reward of its own.
            generator: draws members and, with ``draw``, outcomes.

        Raises:
            ConfigError: the model has not learnt.
        """
        state, rows = start, list[tuple[Tensor, Tensor, Tensor, Tensor]]()
        for _ in range(horizon + 1):
            action = policy.mean(state)
            following, reward, done = self.predict(state, action, generator)
            rows.append((state, action, reward, done))
            state = following
        return Pieces(*(torch.stack(column, 1) for column in zip(*rows, strict=True)))

    @torch.no_grad()
    def predict(self, state: Tensor, action: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Return the next states [N, D], rewards [N] and whether the episode ends [N], each from a member drawn anew.

        Raises:
            ConfigError: the model has not learnt.
        """
        if self._net is None:
            raise ConfigError("the world model has learnt nothing yet: call fit(data) first")
        mean, log_variance, end = self._heads(torch.cat([self._frame.observations(state), action], 1))
        member = torch.randint(self.members, (len(state),), generator=generator)
        mean, log_variance, end = (head[member, torch.arange(len(state))] for head in (mean, log_variance, end))
        if self.draw:
            mean = mean + (log_variance / 2).exp() * torch.randn(mean.shape, generator=generator)
        change = self._change.undo(mean)
        return state + change[:, :-1], change[:, -1], (end > 0).float()

    def _loss(self, batch: Transitions) -> Tensor:
        seen = torch.cat([self._frame.observations(batch.state), batch.action], 1)
        mean, log_variance, end = self._heads(seen.view(self.members, self.batch, -1))
        target = self._change(_changes(batch)).view_as(mean)
        likelihood = ((mean - target).square() * (-log_variance).exp() + log_variance).mean((1, 2)).sum()
        ended = batch.done.view_as(end)
        return likelihood + functional.binary_cross_entropy_with_logits(end, ended) * self.members

    def _heads(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return means [K, N, D + 1], log-variances within their range, and logits of an end [K, N]."""
        assert self._net is not None
        out = self._net(seen)
        width = out.shape[2] // 2
        low, high = _LOG_VARIANCE
        log_variance = high - functional.softplus(high - out[..., width:-1])
        log_variance = low + functional.softplus(log_variance - low)
        return out[..., :width], log_variance, out[..., -1]


def _changes(batch: Transitions) -> Tensor:
    return torch.cat([batch.following - batch.state, batch.reward[:, None]], 1)
