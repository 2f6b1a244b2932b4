"""Rollouts from a few lists."""

from __future__ import annotations

from typing import Any, Protocol

import pytest
import torch

from pilothouse.core.rollouts import Rollouts


class Make(Protocol):
    def __call__(
        self,
        rewards: list[float],
        groups: list[int] | None = None,
        actions: list[list[int]] | None = None,
        **fields: Any,
    ) -> Rollouts: ...


@pytest.fixture
def make() -> Make:
    """Build rollouts: one group and two action tokens an episode unless told otherwise."""

    def build(
        rewards: list[float],
        groups: list[int] | None = None,
        actions: list[list[int]] | None = None,
        **fields: Any,
    ) -> Rollouts:
        count = len(rewards)
        mask = torch.tensor(actions if actions is not None else [[1, 1]] * count).bool()
        score = torch.tensor(rewards, dtype=torch.float32)
        made = Rollouts(
            prompts=((1,),) * count,
            tokens=torch.zeros(mask.shape, dtype=torch.long),
            action_mask=mask,
            sampler_logprobs=torch.zeros(mask.shape),
            rewards=score,
            groups=torch.tensor(groups if groups is not None else [0] * count),
            truncated=torch.zeros(count, dtype=torch.bool),
            lengths=torch.full((count,), mask.shape[1]),
            segments=torch.full(mask.shape, -1),
            segment_values=torch.full(mask.shape, float("nan")),
            reward_parts={},
            train_mask=mask & ~score.isnan()[:, None],
            stats_mask=~score.isnan(),
        )
        return made.replace(**fields)

    return build
