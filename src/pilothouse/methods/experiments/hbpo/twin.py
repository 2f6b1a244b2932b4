"""HBPO without a network: a table of stop logits learns how long to think about easy and hard problems."""

from __future__ import annotations

from typing import TypeAlias

import torch

from pilothouse.core.episodes import Episode
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.base import Credit
from pilothouse.credit.budget_reward import BudgetReward
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.hierarchical import Hierarchical
from pilothouse.credit.normalize import moments
from pilothouse.methods.experiments.stopping import Stops, StopTable

POSITIONS, GROUPS, SIZE = 64, 8, 16
BUDGETS = (8, 16, 32, 40)
NEED = torch.tensor([4.0, 24.0])  #: steps after which thinking longer no longer helps

#: How an arm learns: its credit, and the budgets it announces.
Recipe: TypeAlias = tuple[Credit, tuple[int, ...]]
INNER = GRPO(eps=1e-6)
ARMS: dict[str, Recipe] = {
    "classic": (INNER, ()),
    "cosine": (BudgetReward(of=INNER), ()),
    "single budget 24": (Hierarchical(of=INNER), (24,)),
    "HBPO": (Hierarchical(of=INNER), BUDGETS),
    "HBPO, weight 2": (Hierarchical(of=INNER, w_intra=2.0), BUDGETS),
}


def learn(recipe: Recipe, updates: int, seed: int) -> dict[str, float]:
    """Return lengths and accuracies after training, told nothing and told each budget; half of the groups are hard.

    Args:
        recipe: credit and budgets.
        updates: training steps.
        seed: root of all draws.
    """
    credit, budgets = recipe
    seeds = SeedTree(seed) / "hbpo"
    table = StopTable(POSITIONS, classes=2, marks=len(budgets), logit=-3.0, shared_rate=0.3)
    groups = torch.arange(GROUPS).repeat_interleave(SIZE)
    classes = groups % 2
    told = torch.arange(1, len(budgets) + 1).repeat_interleave(SIZE // len(budgets)) if budgets else torch.zeros(SIZE)
    marks = told.long().repeat(GROUPS)
    episodes = tuple(_record(budgets, mark) for mark in marks.tolist())
    spreads: list[float] = []
    for update in range(updates):
        generator = (seeds / update).torch()
        stops = table.sample(classes, marks, generator)
        right = torch.rand(len(groups), generator=generator) < _chance(stops)
        batch = table.rollouts(stops, right.float(), groups, episodes)
        table.update(stops, batch, credit(batch))
        if update >= updates // 2:
            everyone = torch.ones(len(groups), dtype=torch.bool)
            spreads.append(float(moments(stops.lengths.double(), groups, everyone).std.mean()))
    kinds = torch.arange(2).repeat_interleave(4000)
    found = {"length_std": sum(spreads) / len(spreads)}
    for mark in range(len(budgets) + 1):
        drawn = table.sample(kinds, torch.full_like(kinds, mark), (seeds / "measure" / mark).torch())
        label = f", budget {budgets[mark - 1]}" if mark else ""
        for kind, name in enumerate(("easy", "hard")):
            found[f"{name}_length{label}"] = float(drawn.lengths[kinds == kind].float().mean())
            found[f"{name}_accuracy{label}"] = float(_chance(drawn)[kinds == kind].mean())
    return found


def _chance(stops: Stops) -> torch.Tensor:
    """The chance that an attempt of this length is right."""
    enough = (stops.lengths / NEED[stops.classes]).clamp(max=1)
    return torch.where(stops.stopped, 0.95 * enough.square(), 0.0)


def _record(budgets: tuple[int, ...], mark: int) -> Episode:
    tags = (f"budget={budgets[mark - 1]}",) if mark else ()
    return Episode(prompt=(0,), tokens=(), action_mask=(), logprobs=(), tags=tags)
