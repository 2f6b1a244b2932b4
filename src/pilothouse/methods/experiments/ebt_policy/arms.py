"""The policies under comparison: an energy, and a diffusion policy at as many updates and at four times as many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pilothouse.control.energy_descent import EnergyDescent
from pilothouse.control.receding import RecedingHorizon
from pilothouse.control.rollout import roll
from pilothouse.control.samplers import DDIM, DDPM, Sampler
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured
from pilothouse.methods.experiments.acting import Arm, measured, trained
from pilothouse.policies.chunk import ChunkPolicy, load_policy
from pilothouse.reports.cells import kept
from pilothouse.reports.progress import Progress
from pilothouse.tasks.pick_lift import PickLift
from pilothouse.training.ablate import run_folder
from pilothouse.training.action_config import ActionConfig

EXECUTE = 8
PUSH = 0.25  #: of the velocity, whose unit is 0.08 of the plane a step: a displacement of 0.02
STEPS = (1, 2, 4, 10, 20)

DESCENTS: Mapping[str, Sampler] = {f"EBT, {k} steps": EnergyDescent(max_steps=k, g_min=0.0) for k in STEPS} | {
    "EBT, adaptive": EnergyDescent(),
    "EBT, 4 steps, best of 8": EnergyDescent(max_steps=4, g_min=0.0, best_of=8),
}
DIFFUSIONS: Mapping[str, Sampler] = {"DDPM-100": DDPM(), "DDIM-10": DDIM(steps=10), "DDIM-2": DDIM(steps=2)}
PUSHED = ("EBT, 2 steps", "EBT, 4 steps", "DDPM-100")  #: samplers that are measured under disturbance too


@dataclass(frozen=True)
class Learner:
    """A policy: who learns, for how long, from which demonstrators.

    Args:
        method: its recipe.
        settings: what is laid over the recipe.
        times: updates, in multiples of the design's.
        modes: ways in which demonstrators pass the obstacle.
        samplers: how it is let act.
        judged: whether a claim rests on it; one training tells the rest.
    """

    method: str
    settings: Mapping[str, Any]
    times: int
    modes: str
    samplers: Mapping[str, Sampler]
    judged: bool = True


def _energy(modes: str, *, truncate: bool = False) -> Learner:
    settings = {
        "policy": {"network": {"name": "energy-mlp", "width": 160}},
        "objective": {"name": "energy-unroll", "truncate": truncate},
    }
    return Learner("ebt-policy", settings, 1, modes, DESCENTS, modes == "one" and not truncate)


def _diffusion(times: int, modes: str) -> Learner:
    settings = {"policy": {"denoiser": {"name": "residual-mlp", "width": 192}}}
    return Learner("diffusion-policy", settings, times, modes, DIFFUSIONS, modes == "one")


ENERGY, EQUAL, LONGER = "energy descent", "diffusion", "diffusion, 4 times the updates"
ARMS: dict[str, Learner] = {
    ENERGY: _energy("one"),
    EQUAL: _diffusion(1, "one"),
    LONGER: _diffusion(4, "one"),
    "energy descent, last step learns": _energy("one", truncate=True),
    "energy descent, two modes": _energy("two"),
    "diffusion, two modes": _diffusion(4, "two"),
}


@dataclass(frozen=True)
class Design:
    """The size of the experiment.

    Args:
        updates: optimiser steps, of 64 windows each.
        demonstrations: episodes to learn from.
        episodes: episodes of each measurement.
        states: observations of each measurement of energies.
        repeats: plans of each sampler that are timed.
        seeds: trainings of each judged arm, on demonstrations and episodes of their own.
    """

    updates: int = 1200
    demonstrations: int = 100
    episodes: int = 200
    states: int = 400
    repeats: int = 20
    seeds: int = 3

    def table(self, arm: Learner, seed: int) -> dict[str, Any]:
        """Return the settings of one training over its recipe's; all arms share the optimiser's settings."""
        training = {
            "steps": arm.times * self.updates,
            "batch": 64,
            "demonstrations": self.demonstrations,
            "eval_episodes": min(self.episodes, 20),
        }
        task = {"name": PickLift.name, "modes": arm.modes}
        return {**arm.settings, "task": task, "seed": seed, "training": training, "execute": EXECUTE}

    def config(self, arm: Learner, seed: int) -> ActionConfig:
        """Return the whole configuration of one training."""
        found = configured(arm.method, None, self.table(arm, seed))
        assert isinstance(found, ActionConfig)
        return found


class Pushed(RecedingHorizon):
    """A controller whose velocity is disturbed at every step.

    Args:
        policy: plans chunks.
        sampler: how.
        slots: how many act.
        seeds: node of its noise and of the disturbance.
    """

    def __init__(self, policy: ChunkPolicy, sampler: Sampler, slots: int, seeds: SeedTree) -> None:
        super().__init__(policy, sampler, slots, seeds / "noise", EXECUTE)
        self._pushes = (seeds / "pushes").torch()

    def act(self, observations: Tensor, active: Tensor | None = None) -> Tensor:
        """Return the actions with a disturbance of the velocity."""
        actions = super().act(observations, active).clone()
        actions[:, :2] += PUSH * torch.randn(len(actions), 2, generator=self._pushes)
        return actions


def run_arm(design: Design, name: str, seed: int, out: Path, progress: Progress) -> dict[str, Any]:
    """Return what one training came to, by sampler; what is finished is read back, what was begun goes on.

    Args:
        design: sizes.
        name: which of ``ARMS``.
        seed: root of demonstrations, weights, batches and episodes.
        out: keeps its run and a file for each sampler.
        progress: shows what happens.
    """
    arm, stem = ARMS[name], _stem(out, name, seed)
    progress.say(f"seed {seed + 1} of {design.seeds}, {name}")
    config = design.config(arm, seed)
    policy, result = trained(arm.method, design.table(arm, seed), stem, progress)
    facts, node = config.model_dump(mode="json"), SeedTree(seed) / "held-out"
    rows: dict[str, Any] = {}
    for key, sampler in arm.samplers.items():
        cell = out / f"{stem.name}-{key.replace(', ', '-').replace(' ', '-')}.json"
        found = measured(Arm(sampler, EXECUTE), policy, config.task, design.episodes, node, cell, facts)
        rows[key] = {"success": found["success"]["estimate"], "calls": found["calls_per_plan"], "jerk": found["jerk"]}
        if key in PUSHED:
            cell = cell.with_name(f"pushed-{cell.name}")
            rows[key] |= kept(cell, {**facts, "push": PUSH}, lambda s=sampler: _pushed(design, s, policy, config, node))
    return {"update_seconds": result["seconds"]["update"], "samplers": rows}


def policy_of(design: Design, name: str, seed: int, out: Path) -> ChunkPolicy:
    """Return the policy of a training that ``run_arm`` finished."""
    return load_policy(run_folder(design.config(ARMS[name], seed), _stem(out, name, seed)) / "model")


def _stem(out: Path, name: str, seed: int) -> Path:
    return out / f"{name.replace(', ', '-').replace(' ', '-')}-seed-{seed}"


def _pushed(
    design: Design, sampler: Sampler, policy: ChunkPolicy, config: ActionConfig, node: SeedTree
) -> dict[str, float]:
    with torch.no_grad():
        found = roll(config.task, Pushed(policy, sampler, design.episodes, node), node / "episodes")
    return {"pushed": float(found.success.mean())}
