"""A policy that only decides when to stop, as a table: the smallest place where length can be learnt."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pilothouse.core.episodes import Episode
from pilothouse.core.rollouts import Rollouts


@dataclass(frozen=True)
class Stops:
    """Attempts of a stopping policy.

    Args:
        classes: [N] kind of problem of each.
        marks: [N] what each was told; 0 for nothing.
        lengths: [N] step at which it ended, from 1.
        stopped: [N] False where the last position came first.
    """

    classes: Int[Tensor, " N"]
    marks: Int[Tensor, " N"]
    lengths: Int[Tensor, " N"]
    stopped: Bool[Tensor, " N"]


@dataclass
class StopTable:
    """Stop logits by position: one table for all, one a class, one a mark; they add up.

    Args:
        positions: steps there are.
        classes: kinds of problem.
        marks: things an attempt may be told, besides nothing.
        logit: initial value of the shared table.
        learning_rate: Adam's.
        shared_rate: the shared table's learning rate, as a multiple of that.
    """

    positions: int
    classes: int
    marks: int = 0
    logit: float = -2.2
    learning_rate: float = 0.05
    shared_rate: float = 1.0
    tables: list[Tensor] = field(init=False)
    optimizer: torch.optim.Adam = field(init=False)

    def __post_init__(self) -> None:
        """Make the tables and their optimiser."""
        shared = torch.full((1, self.positions), self.logit)
        self.tables = [shared, torch.zeros(self.classes, self.positions), torch.zeros(self.marks + 1, self.positions)]
        rates = (self.learning_rate * self.shared_rate, self.learning_rate, self.learning_rate)
        groups = [
            {"params": [table.requires_grad_()], "lr": rate} for table, rate in zip(self.tables, rates, strict=True)
        ]
        self.optimizer = torch.optim.Adam(groups)

    def logits(self, classes: Int[Tensor, " N"], marks: Int[Tensor, " N"]) -> Float[Tensor, "N T"]:
        """Return the stop logit of each position.

        Args:
            classes: [N] kinds of problem.
            marks: [N] what the attempts are told; 0 for nothing.
        """
        shared, by_class, by_mark = self.tables
        told = (marks > 0).float()[:, None]  # the first row stands for nothing and stays unused
        return shared + by_class[classes] + told * by_mark[marks]

    @torch.no_grad()
    def sample(self, classes: Int[Tensor, " N"], marks: Int[Tensor, " N"], generator: torch.Generator) -> Stops:
        """Return attempts.

        Args:
            classes: [N] kinds of problem.
            marks: [N] what they are told.
            generator: draws.
        """
        stop = torch.rand(len(classes), self.positions, generator=generator) < self.logits(classes, marks).sigmoid()
        stopped = stop.any(dim=1)
        return Stops(classes, marks, torch.where(stopped, stop.int().argmax(1) + 1, self.positions), stopped)

    def update(self, stops: Stops, rollouts: Rollouts, weights: Float[Tensor, "N T"]) -> None:
        """Take a step along the policy gradient, averaged over each attempt's trained steps, then over attempts.

        Args:
            stops: the attempts.
            rollouts: the same as a batch, selected.
            weights: credit of each step.
        """
        logits = self.logits(stops.classes, stops.marks)
        signs = torch.where(rollouts.tokens == 1, 1.0, -1.0)
        logprobs = torch.nn.functional.logsigmoid(signs * logits)
        mask = rollouts.train_mask
        each = (torch.where(mask, weights * logprobs, 0.0)).sum(1) / mask.sum(1).clamp(min=1)
        self.optimizer.zero_grad()
        (-each.sum() / mask.any(dim=1).sum().clamp(min=1)).backward()
        self.optimizer.step()

    def rollouts(
        self, stops: Stops, rewards: Float[Tensor, " N"], groups: Int[Tensor, " N"], episodes: tuple[Episode, ...] = ()
    ) -> Rollouts:
        """Return attempts as a batch: token 1 where one stopped, 0 where it went on.

        Args:
            stops: the attempts.
            rewards: [N] what they earned.
            groups: [N] the problem each belongs to.
            episodes: records, for credits that read their tags.
        """
        steps = torch.arange(1, self.positions + 1)
        inside = steps <= stops.lengths[:, None]
        tokens = ((steps == stops.lengths[:, None]) & stops.stopped[:, None]).long()
        return Rollouts(
            prompts=((0,),) * len(groups),
            tokens=tokens,
            action_mask=inside,
            sampler_logprobs=torch.zeros(tokens.shape),
            rewards=rewards,
            groups=groups,
            truncated=~stops.stopped,
            lengths=stops.lengths,
            segments=torch.full(tokens.shape, -1),
            segment_values=torch.full(tokens.shape, torch.nan),
            reward_parts={},
            train_mask=inside,
            stats_mask=torch.ones(len(groups), dtype=torch.bool),
            episodes=episodes,
            max_length=self.positions,
        )
