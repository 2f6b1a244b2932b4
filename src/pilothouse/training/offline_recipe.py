"""What a method that learns to act from logged transitions is made of, as data."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from pilothouse.control.learner import Learner
from pilothouse.control.synthetic import SyntheticSettings
from pilothouse.control.td3_bc import TD3BC
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.core.parts import SLOT
from pilothouse.training.recipe import LoopSettings, Positive, Recipe

_OWN = ("learning_rate", "schedule", "warmup_steps", "weight_decay", "betas", "max_grad_norm")


class OfflineTraining(LoopSettings):
    """How long everything learns. A step of the run is ``batches`` batches of what is learning then.

    Args:
        steps: of the run; the trajectory model takes the first ones, the learner the rest.
        batches: batches in a step.
        model_steps: steps of the trajectory model before the learner begins; 0 makes no synthetic data.
        episodes: that the task records; saved episodes (``task.data``) are taken as they are.
        eval_episodes: episodes of each evaluation, all side by side.
    """

    steps: Positive = 100
    checkpoint_every: Annotated[int, Field(ge=0)] = 20
    batches: Positive = 100
    model_steps: Annotated[int, Field(ge=0)] = 0
    episodes: Positive = 125
    eval_episodes: Positive = 20

    @model_validator(mode="after")
    def _settings_have_a_reader(self) -> Self:
        fields = type(self).model_fields
        for name in _OWN:
            if getattr(self, name) != fields[name].default:
                raise ValueError(
                    f"training.{name} is not read by methods that learn offline: set --learner.learning_rate for the "
                    "learner, --diffusion.learning_rate for the trajectory model"
                )
        if self.model_steps >= self.steps:
            raise ValueError(
                f"training.model_steps = {self.model_steps} leaves none of {self.steps} steps to the learner: raise "
                "--steps or lower --training.model_steps"
            )
        return self


class OfflineLearning(Recipe):
    """A method that learns from logged transitions, alone or with trajectories that a diffusion model makes up.

    Args:
        learner: what learns to act.
        diffusion: what makes trajectories up.
        synthetic: how many, when, and how they are guided by the learner.
        training: how long everything learns.
    """

    learner: Annotated[Learner, SLOT] = TD3BC()
    diffusion: TrajectoryDiffusion = TrajectoryDiffusion()
    synthetic: SyntheticSettings = SyntheticSettings()
    training: OfflineTraining = OfflineTraining()
