"""How well a policy acts: success and return with intervals, and what each action cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pilothouse.control.receding import RecedingHorizon
from pilothouse.control.rollout import Controller, Outcomes, check_spaces, roll
from pilothouse.control.samplers import Sampler
from pilothouse.core.errors import RunError
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.chunk import ChunkPolicy
from pilothouse.reports.statistics import Interval, paired_difference, wilson
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import write_episodes
from pilothouse.tasks.playing import NotFiniteError


@dataclass(frozen=True)
class ActionEvaluation:
    """What was measured on a number of episodes.

    Args:
        success: share of episodes that fulfilled the task, with Wilson's interval; ``None`` where it does not say.
        returns: mean sum of rewards, with Student's interval.
        best_reward: mean of each episode's highest reward, with Student's interval: how near it ever came to the task's
            end, where the reward says how near it is (Push-T's coverage).
        length: mean steps of an episode.
        jerk: mean length of the change between consecutive actions, in the task's units.
        calls_per_plan: network calls for one plan of one slot.
        calls_per_action: network calls for one action of one slot.
        seconds: wall-clock seconds that planning took, all slots together.
        plans: plans made, over all slots.
        figures: means over plans of what the sampler says of each.
        outcomes: the episodes.
    """

    success: Interval | None
    returns: Interval
    best_reward: Interval
    length: float
    jerk: float
    calls_per_plan: float
    calls_per_action: float
    seconds: float
    plans: int
    figures: dict[str, float]
    outcomes: Outcomes

    @property
    def headline(self) -> Interval:
        """Success where the task knows it, else the return."""
        return self.returns if self.success is None else self.success

    def to_dict(self) -> dict[str, Any]:
        """Return the figures for JSON, without the episodes."""
        return {
            "success": None if self.success is None else self.success.to_dict(),
            "return": self.returns.to_dict(),
            "best_reward": self.best_reward.to_dict(),
            "episodes": len(self.outcomes.lengths),
            "length": self.length,
            "jerk": self.jerk,
            "calls_per_plan": self.calls_per_plan,
            "calls_per_action": self.calls_per_action,
            "seconds": self.seconds,
            "plans": self.plans,
            **self.figures,
        }


def evaluate_actions(
    task: ControlTask,
    policy: ChunkPolicy,
    sampler: Sampler,
    execute: int,
    episodes: int,
    seeds: SeedTree,
    keep: Path | None = None,
) -> ActionEvaluation:
    """Let a policy act in episodes side by side and return what was measured.

    Args:
        task: what is acted in.
        policy: what acts.
        sampler: how it plans.
        execute: actions of each plan that are executed.
        episodes: how many.
        seeds: node of this evaluation; the same node gives the same starts.
        keep: folder for the episode that an action that is not finite ended.

    Raises:
        ConfigError: the policy was trained for other observations or actions.
        RunError: an action is not finite; the message says where the episode was saved.
    """
    check_spaces(policy, task)
    actor = RecedingHorizon(policy, sampler, episodes, seeds / "noise", execute)
    return evaluate_actor(task, actor, seeds / "episodes", keep)


def evaluate_actor(task: ControlTask, actor: Controller, seeds: SeedTree, keep: Path | None = None) -> ActionEvaluation:
    """Let a controller act in episodes side by side, one a slot, and return what was measured.

    Args:
        task: what is acted in.
        actor: acts.
        seeds: node of the episodes.
        keep: folder for the episode that an action that is not finite ended.

    Raises:
        RunError: an action is not finite; the message says where the episode was saved.
    """
    try:
        with torch.no_grad():
            outcomes = roll(task, actor, seeds)
    except NotFiniteError as error:
        if keep is None:
            raise
        write_episodes(keep, [error.trajectory])
        raise RunError(f"{error}; the episode is saved in {keep}") from error
    judged = outcomes.success.isfinite()
    effort, none = actor.effort, [0.0] * actor.slots
    best = [float(one.rewards.max()) for one in outcomes.trajectories]
    return ActionEvaluation(
        success=wilson(int(outcomes.success.sum()), actor.slots) if judged.all() else None,
        returns=paired_difference(outcomes.returns.double().tolist(), none),
        best_reward=paired_difference(best, none),
        length=float(outcomes.lengths.float().mean()),
        jerk=float(outcomes.jerk.mean()),
        calls_per_plan=effort.calls / effort.plans,
        calls_per_action=effort.calls / int(outcomes.lengths.sum()),
        seconds=outcomes.seconds,
        plans=effort.plans,
        figures={name: total / effort.plans for name, total in effort.figures.items()},
        outcomes=outcomes,
    )
