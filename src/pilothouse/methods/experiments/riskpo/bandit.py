"""Risk is really optimised: a bandit whose risky arm has the better mean and the worse lower tail."""

from __future__ import annotations

import torch

from pilothouse.core.episodes import Episode
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit

CONTEXTS, GROUP = 20, 8
RISKY, SAFE = 0.7, 0.62  #: chance that the risky arm pays 1, and what the safe arm always pays
LEARNING_RATE = 0.1


def risky_share(credit: Credit, steps: int, seeds: SeedTree) -> float:
    """Return the mean probability of the risky arm after training a table of logits, one row a context.

    Args:
        credit: weighs each pull; contexts are the groups.
        steps: plain gradient steps of size 0.1 on each context's mean over its pulls.
        seeds: node whose child k draws step k.
    """
    blank = _rollouts()
    logits = torch.zeros(CONTEXTS, 2)
    for step in range(steps):
        generator = (seeds / step).torch()
        risky = torch.rand(CONTEXTS, GROUP, generator=generator) < logits.softmax(1)[:, :1]
        paid = torch.rand(CONTEXTS, GROUP, generator=generator) < RISKY
        rewards = torch.where(risky, paid.float(), SAFE)
        weights = credit(blank.replace(rewards=rewards.flatten()))[:, 0].reshape(CONTEXTS, GROUP)
        pull = risky.float() - logits.softmax(1)[:, :1]  # d log pi / d logit of the risky arm; the other's is minus it
        slope = (weights * pull).mean(1)
        logits += LEARNING_RATE * torch.stack([slope, -slope], dim=1)
    return float(logits.softmax(1)[:, 0].mean())


def _rollouts() -> Rollouts:
    """A batch of one-token responses, for rewards to be put on."""
    episode = Episode(prompt=(0,), tokens=(0,), action_mask=(True,), logprobs=(0.0,), score=Score(reward=0.0))
    return Rollouts.from_episodes([episode] * (CONTEXTS * GROUP), [i // GROUP for i in range(CONTEXTS * GROUP)])
