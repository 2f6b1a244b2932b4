"""Samplers: interchangeable ways from noise to a chunk of actions, and the planners that a controller asks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal, Protocol

import torch
from pydantic import Field
from torch import Tensor

from pilothouse.control.steps import implicit_step, posterior_step
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import Catalogue, Part
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy


@dataclass(frozen=True)
class Plan:
    """What a planner answers.

    Args:
        chunk: [B, T, A] planned actions, normalised.
        actions: [B, T, A] the same in the task's units, ready to be executed.
        calls: network calls it took for each row, [B].
        figures: further figures of each row, [B] each.
    """

    chunk: Tensor
    actions: Tensor
    calls: Tensor
    figures: Mapping[str, Tensor] = field(default_factory=dict[str, Tensor])


class Draws:
    """Standard normal chunks for slots: which slots ask never changes what another slot draws in the same round.

    Args:
        slots: how many there are, N.
        shape: of a chunk, (T, A).
        generator: where they come from.
    """

    def __init__(self, slots: int, shape: tuple[int, int], generator: torch.Generator) -> None:
        self.slots, self.shape, self.generator = slots, shape, generator

    def __call__(self, rows: Tensor) -> Tensor:
        """Return a fresh chunk for each of the slots ``rows`` [B], [B, T, A]."""
        return torch.randn(self.slots, *self.shape, generator=self.generator)[rows]


class Planner(Protocol):
    """Plans chunks for slots that act side by side, and may remember what it planned."""

    def reset(self, slots: Tensor) -> None:
        """Forget the slots marked in ``slots``, [N]: their episodes begin."""
        ...

    def predict(self, observations: Tensor, rows: Tensor) -> Plan:
        """Return a plan for the slots ``rows`` [B] after their last observations [B, To, D]."""
        ...


class Sampler(Part):
    """Draws chunks from a policy; ``planner`` makes what a controller asks.

    Class attributes:
        model: the kind of policy it samples from.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("sampler", "pilothouse.control")
    model: ClassVar[type[ChunkModel]]

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return normalised chunks [B, T, A] and the network calls it took.

        Args:
            policy: what is sampled from.
            condition: [B, C] the policy's condition.
            draws: where noise comes from.
            rows: [B] the slots that ask.
        """
        raise NotImplementedError

    def planner(self, policy: ChunkPolicy, slots: int, generator: torch.Generator, execute: int) -> Planner:
        """Return a planner for ``slots`` slots that execute ``execute`` actions of each plan."""
        return FreshPlanner(self, policy, slots, generator)


class FreshPlanner:
    """Plans every chunk from noise.

    Args:
        sampler: draws it.
        policy: from this policy.
        slots: how many act.
        generator: noise comes from it.
    """

    def __init__(self, sampler: Sampler, policy: ChunkPolicy, slots: int, generator: torch.Generator) -> None:
        self.sampler, self.policy = sampler, policy
        self.draws = Draws(slots, (policy.horizon, policy.action_dim), generator)

    def reset(self, slots: Tensor) -> None:
        """There is nothing to forget."""

    @torch.no_grad()
    def predict(self, observations: Tensor, rows: Tensor) -> Plan:
        """Return a plan for the slots ``rows``."""
        condition = self.policy.condition(observations)
        chunk, calls = self.sampler.sample(self.policy, condition, self.draws, rows)
        return Plan(chunk, self.policy.actions.undo(chunk), torch.full((len(rows),), calls))


class DDPM(Sampler):
    """Ancestral sampling through every noise level: K network calls."""

    name: ClassVar[str] = "ddpm"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return chunks drawn from pure noise."""
        assert isinstance(policy, DiffusionChunkPolicy)
        chunk = draws(rows)
        for level in reversed(range(policy.levels)):
            noise = policy.eps(chunk, level, condition)
            chunk = posterior_step(chunk, noise, policy.alphas, level, level - 1, draws(rows) if level else None)
        return chunk, policy.levels


class DDIM(Sampler):
    """Implicit sampling over a few of the noise levels.

    Args:
        steps: network calls.
        eta: 0 draws nothing on the way, 1 as much as ancestral sampling.
        spacing: which levels: "leading" counts from the lowest in equal strides, "trailing" from the highest.
    """

    name: ClassVar[str] = "ddim"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    steps: Annotated[int, Field(ge=1)] = 10
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    spacing: Literal["leading", "trailing"] = "trailing"

    def visited(self, levels: int) -> list[int]:
        """Return the levels that are visited, from the highest.

        Raises:
            ConfigError: there are fewer levels than steps.
        """
        if self.steps > levels:
            raise ConfigError(f"sampler 'ddim' cannot take {self.steps} steps through {levels} levels: lower its steps")
        if self.spacing == "leading":
            return [i * (levels // self.steps) for i in reversed(range(self.steps))]
        return [round(levels - i * levels / self.steps) - 1 for i in range(self.steps)]

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return chunks drawn from pure noise."""
        assert isinstance(policy, DiffusionChunkPolicy)
        chunk, levels = draws(rows), self.visited(policy.levels)
        for level, lower in zip(levels, [*levels[1:], -1], strict=True):
            noise = policy.eps(chunk, level, condition)
            fresh = draws(rows) if self.eta and lower >= 0 else None
            chunk = implicit_step(chunk, noise, policy.alphas, level, lower, self.eta, fresh)
        return chunk, self.steps
