"""Learners on recorded data alone, with unguided synthetic data, and with data guided by the learner itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from pilothouse.control.guidance import ActionGuidance
from pilothouse.control.heun import HeunSampler
from pilothouse.control.iql import IQL
from pilothouse.control.learner import Learner
from pilothouse.control.synthetic import SyntheticSettings, train_offline
from pilothouse.control.td3_bc import TD3BC
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.control.trajectory_measures import distance_to_data, termination_rate
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.experiments.policy_guided_diffusion.behaviours import WORLDS
from pilothouse.policies.trajectory_networks import ResidualConv
from pilothouse.tasks.playing import play

#: Guidance by arm; ``None`` learns from recorded data alone.
ARMS: Mapping[str, float | None] = {"recorded": None, "unguided": 0.0, "guided": 1.0}
_SMALL = {"hidden": (64, 64), "learning_rate": 1e-3, "discount": 0.95, "batch": 128}
LEARNERS: Mapping[str, Learner] = {
    "TD3+BC": TD3BC.model_validate(_SMALL),
    "IQL": IQL.model_validate(_SMALL),
}


@dataclass(frozen=True)
class AgentDesign:
    """The comparison of arms.

    Args:
        seeds: by environment, data sets, each with a trajectory model and learners of its own.
        transitions: recorded.
        diffusion: the trajectory model, one a data set, shared by the arms.
        fit: its training steps.
        synthetic: how much is made, when, and how.
        steps: of a learner, the same for every arm.
        episodes: that judge a learner, the same starts for every arm of a seed.
    """

    seeds: Mapping[str, int] = field(default_factory=lambda: {"drift": 5, "Pendulum-v1": 3, "InvertedPendulum-v5": 3})
    transitions: int = 5000
    diffusion: TrajectoryDiffusion = field(
        default_factory=lambda: TrajectoryDiffusion(
            network=ResidualConv(width=48, blocks=4), length=16, stride=4, batch=64, ema=0.9
        )
    )
    fit: int = 1200
    synthetic: SyntheticSettings = field(
        default_factory=lambda: SyntheticSettings(
            trajectories=256, length=17, refresh_every=1000, sampler=HeunSampler(steps=32)
        )
    )
    steps: int = 3000
    episodes: int = 20

    def facts(self) -> dict[str, Any]:
        """Return what decides the figures, JSON-ready."""
        return {
            "sizes": [self.transitions, self.fit, self.steps, self.episodes],
            "arms": dict(ARMS),
            "learners": {name: learner.model_dump(mode="json") for name, learner in LEARNERS.items()},
            "diffusion": self.diffusion.model_dump(mode="json"),
            "synthetic": self.synthetic.model_dump(mode="json"),
        }


def compare(design: AgentDesign, world: str, seed: int) -> dict[str, Any]:
    """Return one data set's mean returns by learner and arm, and what the synthetic data were like."""
    node, place = SeedTree(seed) / world, WORLDS[world]
    data = place.record(design.transitions, node / "data")
    model = TrajectoryDiffusion.model_validate(design.diffusion.model_dump()).fit(data, design.fit, node / "diffusion")
    sampler = design.synthetic.sampler
    plain = model.sample(256, (node / "look").torch(), length=design.synthetic.length, sampler=sampler)
    behaviour = torch.stack([one.rewards.sum() for one in data.episodes.trajectories])
    found: dict[str, Any] = {
        "behaviour": float(behaviour.mean()),
        "terminated": {"recorded": float(data.transitions.done.mean()), "unguided": termination_rate(plain)},
        "distance_to_data": distance_to_data(plain, data),
    }
    for name, settings in LEARNERS.items():
        for arm, coeff in ARMS.items():
            synthetic = design.synthetic.model_copy(update={"guidance": ActionGuidance(coeff=coeff or 0.0)})
            learner = Learner.build(settings.model_dump())
            used = None if coeff is None else model
            train_offline(learner, data, used, synthetic, design.steps, node / "learners" / name)
            world_of = place.task.make(design.episodes, node / "evaluation")
            shown = play(world_of, lambda seen, _, acting=learner: acting.act(seen), place.task.bounds)
            found.setdefault(name, {})[arm] = float(torch.stack([one.rewards.sum() for one in shown]).mean())
    return found
