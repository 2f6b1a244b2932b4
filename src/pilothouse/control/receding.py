"""Receding horizon: plan a chunk, execute its first actions, plan again; every slot in its own time."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from pilothouse.control.samplers import Planner, Sampler
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.chunk import ChunkPolicy


@dataclass
class Effort:
    """What a controller has spent.

    Args:
        plans: chunks planned, over all slots.
        calls: network calls they took, over all slots.
        figures: sums over plans of what the planner said of each.
    """

    plans: int = 0
    calls: int = 0
    figures: dict[str, float] = field(default_factory=dict[str, float])


class RecedingHorizon:
    """Turns observations of N slots into actions.

    Args:
        policy: plans chunks of T actions that begin with the first of its To observations.
        sampler: how.
        slots: N.
        seeds: node of its noise.
        execute: actions Ta of each chunk that are executed before the next plan; they are those from To - 1 on.

    Raises:
        ConfigError: a chunk is shorter than To - 1 + Ta.
    """

    def __init__(self, policy: ChunkPolicy, sampler: Sampler, slots: int, seeds: SeedTree, execute: int) -> None:
        self._first, self._execute, self.slots = policy.model.observation_steps - 1, execute, slots
        if self._first + execute > policy.horizon:
            raise ConfigError(
                f"a chunk of {policy.horizon} actions has {policy.horizon - self._first} from the last observation on "
                f"and execute = {execute} asks for more: lower it, or train with a longer policy.horizon"
            )
        self.planner: Planner = sampler.planner(policy, slots, seeds.torch(), execute)
        self.effort = Effort()
        self._seen = torch.zeros(slots, self._first + 1, policy.observation_dim)
        self._queue = torch.zeros(slots, execute, policy.action_dim)
        self._left = torch.zeros(slots, dtype=torch.long)
        self._fresh = torch.ones(slots, dtype=torch.bool)

    def reset(self, slots: Tensor | None = None) -> None:
        """Begin new episodes in ``slots`` [N]; ``None`` means all."""
        chosen = torch.ones(self.slots, dtype=torch.bool) if slots is None else slots
        self.planner.reset(chosen)
        self._fresh |= chosen
        self._left[chosen] = 0

    def act(self, observations: Tensor, active: Tensor | None = None) -> Tensor:
        """Return an action for each slot, [N, A], in the task's units; those of slots not ``active`` mean nothing.

        Args:
            observations: [N, D].
            active: [N] slots whose episodes go on; ``None`` means all. No network call is spent on others.
        """
        older = torch.where(self._fresh[:, None, None], observations[:, None], self._seen)
        self._seen = torch.cat([older[:, 1:], observations[:, None]], dim=1)
        self._fresh.zero_()
        due = self._left == 0
        rows = (due if active is None else due & active).nonzero().flatten()
        if len(rows):
            plan = self.planner.predict(self._seen[rows], rows)
            self._queue[rows] = plan.actions[:, self._first : self._first + self._execute]
            self._left[rows] = self._execute
            self.effort.plans += len(rows)
            self.effort.calls += int(plan.calls.sum())
            for name, values in plan.figures.items():
                self.effort.figures[name] = self.effort.figures.get(name, 0.0) + float(values.sum())
        action = self._queue[torch.arange(self.slots), self._execute - self._left.clamp(min=1)]
        self._left = (self._left - 1).clamp(min=0)
        return action
