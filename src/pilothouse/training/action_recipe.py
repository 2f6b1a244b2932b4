"""What a method that learns to act from recorded episodes is made of, as data."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pilothouse.control.losses import ActionLoss, NoisePrediction
from pilothouse.control.samplers import DDIM, Sampler
from pilothouse.core.parts import LISTED, SLOT
from pilothouse.policies.chunk import ChunkModel
from pilothouse.policies.diffusion import DiffusionChunk
from pilothouse.training.recipe import LoopSettings, Positive, Recipe


class ActionTraining(LoopSettings):
    """How a policy is fitted to recorded episodes.

    Args:
        demonstrations: episodes that the task's expert records; saved episodes (``task.data``) are taken as they are.
        batch: windows in a step.
        ema_power: how fast the averaged weights, which act, forget: their decay is 1 - (1 + step)^-power.
        eval_episodes: episodes of each evaluation, all side by side.
    """

    steps: Positive = 1500
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    schedule: Literal["constant", "linear", "cosine"] = "cosine"
    warmup_steps: Annotated[int, Field(ge=0)] = 100
    weight_decay: Annotated[float, Field(ge=0)] = 1e-6
    betas: Annotated[tuple[float, float], LISTED] = (0.95, 0.999)
    checkpoint_every: Annotated[int, Field(ge=0)] = 500
    demonstrations: Positive = 200
    batch: Positive = 256
    ema_power: Annotated[float, Field(gt=0, le=1)] = 0.75
    eval_episodes: Positive = 100


class ActionPolicy(Recipe):
    """A method that plans chunks of actions and learns from episodes: model, loss, sampler, execution.

    Args:
        policy: the shape of the policy.
        objective: what it minimises.
        sampler: how a chunk is drawn from it.
        execute: actions of a chunk that are executed before the next plan.
        training: how it is fitted.

    Raises:
        ConfigError: the parts cannot work together; the message says why and what would.
    """

    policy: Annotated[ChunkModel, SLOT] = DiffusionChunk()
    objective: Annotated[ActionLoss, SLOT] = NoisePrediction()
    sampler: Annotated[Sampler, SLOT] = DDIM()
    execute: Positive = 8
    training: ActionTraining = ActionTraining()

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        for part in (self.objective, self.sampler):
            if not isinstance(self.policy, part.model):
                raise ValueError(
                    f"{part.catalogue.kind} '{part.name}' works with policy '{part.model.name}', not "
                    f"'{self.policy.name}': change one of the two"
                )
        usable = self.policy.horizon - self.policy.observation_steps + 1
        if self.execute > usable:
            raise ValueError(
                f"execute = {self.execute} asks for more actions than the {usable} that a chunk of "
                f"{self.policy.horizon} has from the last observation on: lower --execute or raise --policy.horizon"
            )
        return self
