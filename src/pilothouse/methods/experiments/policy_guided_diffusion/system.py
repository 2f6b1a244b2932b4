"""Made-up trajectories of a system whose true step is known: how on-policy and how true they are, by guidance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from pilothouse.control.columns import TrajectoryColumns
from pilothouse.control.guidance import ActionGuidance
from pilothouse.control.heun import HeunSampler
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.segments import segment_dataset
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.control.trajectory_measures import dynamics_error, off_policyness
from pilothouse.control.world_model import EnsembleWorldModel
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.trajectory_networks import ResidualConv
from pilothouse.tasks.drift import Drift


class Circling:
    """The target policy: a = tanh(0.8 y + 0.3, -0.8 x + 0.3), far from the one that the data come from."""

    def mean(self, observations: Tensor) -> Tensor:
        """Return its actions."""
        x, y = observations.T
        return torch.stack([0.8 * y + 0.3, -0.8 * x + 0.3], dim=1).tanh()


@dataclass(frozen=True)
class SystemDesign:
    """One experiment on the drifting point.

    Args:
        name: what its files are called.
        episodes: recorded.
        steps: of a recorded episode.
        diffusion: the trajectory model.
        fit: its training steps.
        world: the one-step model it is compared with.
        world_fit: its training steps.
        coefficients: guidance lambda.
        denoised: a further lambda, on the denoised trajectory; 0 leaves it out.
        samples: trajectories a setting.
        sampler: goes from noise to trajectories.
    """

    name: str
    episodes: int = 2000
    steps: int = 40
    diffusion: TrajectoryDiffusion = field(default_factory=lambda: TrajectoryDiffusion(length=16, batch=64, ema=0.9))
    fit: int = 2500
    world: EnsembleWorldModel = field(default_factory=lambda: EnsembleWorldModel(draw=False))
    world_fit: int = 3000
    coefficients: tuple[float, ...] = (0.0, 0.3, 1.0, 3.0, 10.0)
    denoised: float = 3.0
    samples: int = 200
    sampler: HeunSampler = field(default_factory=lambda: HeunSampler(steps=32))

    def facts(self) -> dict[str, Any]:
        """Return what decides the figures, JSON-ready."""
        return {
            "sizes": [self.episodes, self.steps, self.fit, self.world_fit, self.samples],
            "diffusion": self.diffusion.model_dump(mode="json"),
            "world": self.world.model_dump(mode="json"),
            "coefficients": [*self.coefficients, self.denoised],
            "sampler": self.sampler.model_dump(),
        }


#: The system as specified, and a harder one: a tenth of the data, windows four times as long.
DESIGN = SystemDesign("system")
HARDER = SystemDesign(
    "harder",
    episodes=200,
    steps=96,
    diffusion=TrajectoryDiffusion(length=64, batch=16, ema=0.9),
    fit=2000,
    coefficients=(0.0, 1.0, 2.0, 4.0),
    denoised=0.0,
    samples=100,
)
TINY = SystemDesign(
    "tiny",
    episodes=20,
    diffusion=TrajectoryDiffusion(network=ResidualConv(width=8, blocks=1), length=16, batch=4),
    fit=2,
    world=EnsembleWorldModel(members=1, hidden=(8,), batch=8, draw=False),
    world_fit=2,
    samples=4,
    sampler=HeunSampler(steps=4),
)


def measure(design: SystemDesign, seed: int) -> dict[str, Any]:
    """Return one seed's figures: A and E by lambda, the data's own A, and the world model's E step by step."""
    node, target = SeedTree(seed) / design.name, Circling()
    task = Drift(steps=design.steps)
    data = OfflineData.of(task, task.demonstrations(design.episodes, node / "data"))
    segments = segment_dataset(data, design.diffusion.length, design.diffusion.stride)
    columns = TrajectoryColumns.of(segments.rows, segments.actions)
    windows = columns.read(columns.normalizer(segments.rows))
    model = TrajectoryDiffusion.model_validate(design.diffusion.model_dump()).fit(data, design.fit, node / "diffusion")
    settings = [(f"{coeff:g}", ActionGuidance(coeff=coeff)) for coeff in design.coefficients]
    if design.denoised:
        settings.append((f"{design.denoised:g} denoised", ActionGuidance(coeff=design.denoised, on="denoised")))
    found: dict[str, Any] = {"data": {"A": off_policyness(windows, target)}, "windows": len(segments)}
    for name, guidance in settings:
        draws = (node / "samples").torch()
        made = model.sample(design.samples, draws, policy=target, guidance=guidance, sampler=design.sampler)
        error = dynamics_error(made, task.true_step)
        found[name] = {"A": off_policyness(made, target), "E": float(error.mean()), "E_last": float(error[-1])}
    world = EnsembleWorldModel.model_validate(design.world.model_dump()).fit(data, design.world_fit, node / "world")
    first = torch.randperm(len(segments), generator=(node / "starts").torch())[: design.samples]
    rolled = world.rollout(target, windows.states[first, 0], design.diffusion.length - 1, (node / "rollout").torch())
    error = dynamics_error(rolled, task.true_step)
    found["world"] = {"E": float(error.mean()), "E_first": float(error[0]), "E_last": float(error[-1])}
    return found
