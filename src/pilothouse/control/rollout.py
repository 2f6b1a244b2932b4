"""What a controller does in a task, and what is measured of it."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from pilothouse.control.receding import Effort
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import Trajectory
from pilothouse.tasks.playing import play


class Acting(Protocol):
    """A policy that knows which numbers it was trained for."""

    @property
    def observation_dim(self) -> int:
        """Numbers D in an observation."""
        ...

    @property
    def action_dim(self) -> int:
        """Numbers A in an action."""
        ...


class Controller(Protocol):
    """Turns observations of N slots into actions, and counts what that costs."""

    slots: int
    effort: Effort

    def reset(self, slots: Tensor | None = None) -> None:
        """Begin new episodes in ``slots`` [N]; ``None`` means all."""
        ...

    def act(self, observations: Tensor, active: Tensor | None = None) -> Tensor:
        """Return an action for each slot, [N, A]; those of slots not ``active`` mean nothing."""
        ...


@dataclass(frozen=True)
class Outcomes:
    """What was measured on N episodes.

    Args:
        success: [N] 1.0 fulfilled, 0.0 not, NaN where the task does not say.
        returns: [N] sum of rewards.
        lengths: [N] steps.
        jerk: [N] mean length of the change between consecutive actions, in the task's units.
        seconds: wall-clock seconds the actor took, over all steps and episodes.
        trajectories: the episodes.
    """

    success: Tensor
    returns: Tensor
    lengths: Tensor
    jerk: Tensor
    seconds: float
    trajectories: tuple[Trajectory, ...] = field(repr=False)

    @staticmethod
    def of(trajectories: list[Trajectory], seconds: float) -> Outcomes:
        """Return the figures of episodes."""
        return Outcomes(
            torch.tensor([one.success for one in trajectories]),
            torch.stack([one.rewards.sum() for one in trajectories]),
            torch.tensor([len(one) for one in trajectories]),
            torch.tensor([jerk(one.actions) for one in trajectories]),
            seconds,
            tuple(trajectories),
        )


def jerk(actions: Tensor) -> float:
    """Return the mean length of the change between consecutive actions [H, A]; 0 for a single one."""
    return float(actions.diff(dim=0).norm(dim=1).mean()) if len(actions) > 1 else 0.0


def check_spaces(policy: Acting, task: ControlTask) -> None:
    """Refuse a policy that was trained for other observations or actions than the task's.

    Raises:
        ConfigError: they differ.
    """
    mine, theirs = (policy.observation_dim, policy.action_dim), (task.observation_dim, task.action_dim)
    if mine != theirs:
        raise ConfigError(
            f"the checkpoint sees {mine[0]} and acts with {mine[1]} numbers, task '{task.title}' shows {theirs[0]} and "
            f"takes {theirs[1]}: give the task it was trained on, or train on this one"
        )


def roll(task: ControlTask, actor: Controller, seeds: SeedTree) -> Outcomes:
    """Let a controller act through one episode in each of its slots.

    Args:
        task: the episodes' task.
        actor: acts.
        seeds: node of the episodes: the same node gives the same starts, so two controllers are compared in pairs.

    Raises:
        NotFiniteError: an action is not finite.
    """
    spent = 0.0

    def act(observations: Tensor, live: Tensor) -> Tensor:
        nonlocal spent
        started = time.perf_counter()
        actions = actor.act(observations, live)
        spent += time.perf_counter() - started
        return actions

    actor.reset()
    trajectories = play(task.make(actor.slots, seeds), act, task.bounds)
    return Outcomes.of(trajectories, spent)
