"""DOT without a network: a table of stop logits learns when to stop on easy and hard problems."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pilothouse.core.problems import Score
from pilothouse.core.requests import Tokens
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.outlier_truncation import OutlierTruncation
from pilothouse.credit.zero_variance import ZeroVariance
from pilothouse.methods.experiments.stopping import Stops, StopTable

POSITIONS, GROUPS, SIZE = 40, 8, 32
NEED = torch.tensor([3, 12])  #: steps that an easy and a hard answer take
LUCK = torch.tensor([1.0, 0.95])  #: chance that an answer which took them is right


def learn(alpha: float, updates: int, seed: int) -> dict[str, float]:
    """Return length and accuracy on easy and hard problems after training; half of the groups are hard.

    Args:
        alpha: standard deviations beyond which an outlier is cut, with a margin of one step; 0 cuts nothing.
        updates: training steps.
        seed: root of all draws.
    """
    seeds, table = SeedTree(seed) / "dot", StopTable(POSITIONS, classes=2)
    select, credit = ZeroVariance(), GRPO(eps=1e-6)
    cut = OutlierTruncation(alpha=alpha or 1.0, margin=1)
    groups = torch.arange(GROUPS).repeat_interleave(SIZE)
    classes, told = groups % 2, torch.zeros_like(groups)
    for update in range(updates):
        generator = (seeds / update).torch()
        stops = table.sample(classes, told, generator)
        lucky = torch.rand(len(groups), generator=generator) < LUCK[classes]
        batch = table.rollouts(stops, (_done(stops) & lucky).float(), groups)
        if alpha:
            batch = cut.revise(batch, _unfinished)
        batch = select(batch)
        table.update(stops, batch, credit(batch))
    kinds = torch.arange(2).repeat_interleave(4000)
    found = table.sample(kinds, torch.zeros_like(kinds), (seeds / "measure").torch())
    right = _done(found).float()
    return {
        "easy_length": float(found.lengths[kinds == 0].float().mean()),
        "hard_length": float(found.lengths[kinds == 1].float().mean()),
        "easy_accuracy": float(right[kinds == 0].mean()),
        "hard_accuracy": float(right[kinds == 1].mean()),
    }


def _done(stops: Stops) -> Tensor:
    return stops.stopped & (stops.lengths >= NEED[stops.classes])


def _unfinished(responses: Sequence[tuple[int, Tokens]]) -> list[Score]:
    """The verdict on what is left: an attempt that was cut never came to its answer."""
    return [Score(float(1 in tokens), 1 in tokens) for _, tokens in responses]
