"""Takeaway 2, exactly: on easy data, dividing by the group's std spends the gradient on noise."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit

GROUPS, SIZE = 32, 8  #: as the rollouts of a small training step


def noise_energy(
    credits: Mapping[str, Credit], success: float, noise: float, batches: int, seeds: SeedTree
) -> dict[str, list[float]]:
    """Return, by credit, each batch's share of ``sum A^2`` that falls on groups whose verdicts are all equal.

    Those groups differ in nothing but noise, so the share is what a credit wastes on it.

    Args:
        credits: what is compared, on the same batches.
        success: chance that a verdict is 1.
        noise: standard deviation of what is added to every reward.
        batches: random batches of 32 groups of 8.
        seeds: node whose child b draws batch b.
    """
    blank = _rollouts()
    shares: dict[str, list[float]] = {name: [] for name in credits}
    for batch in range(batches):
        generator = (seeds / batch).torch()
        verdicts = (torch.rand(GROUPS, SIZE, generator=generator) < success).float()
        rewards = verdicts + noise * torch.randn(GROUPS, SIZE, generator=generator)
        alike = verdicts.amax(1) == verdicts.amin(1)
        rollouts = blank.replace(rewards=rewards.flatten())
        for name, credit in credits.items():
            energy = credit(rollouts).square().sum(1).reshape(GROUPS, SIZE).sum(1)
            shares[name].append(float(energy[alike].sum() / energy.sum()))
    return shares


def _rollouts() -> Rollouts:
    """A batch of one-token responses, for rewards to be put on."""
    episode = Episode(prompt=(0,), tokens=(0,), action_mask=(True,), logprobs=(0.0,), score=Score(reward=0.0))
    return Rollouts.from_episodes([episode] * (GROUPS * SIZE), [i // SIZE for i in range(GROUPS * SIZE)])
