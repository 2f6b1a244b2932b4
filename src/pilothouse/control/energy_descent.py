"""Acting by descent: from noise down an energy landscape, each chunk for as long as it needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor

from pilothouse.control.energy_step import Energy, energy_step
from pilothouse.control.samplers import Draws, FreshPlanner, Plan, Planner, Sampler
from pilothouse.core.errors import ConfigError
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.energy_chunk import Dynamics, EnergyChunk, EnergyChunkPolicy


@dataclass(frozen=True)
class Descended:
    """Where descents ended, and how they went.

    Args:
        chunk: [B, T, A] normalised actions; they may lie outside [-1, 1].
        energies: [steps, B] the energy that each step began at; NaN once a chunk had stopped.
        gradient_norms: [steps, B] Frobenius norm of its gradient there.
        steps: [B] steps taken.
        energy: [B] the energy that the last step began at.
        calls: [B] network calls, each with a backward pass: the steps of all starts.
    """

    chunk: Float[Tensor, "B T A"]
    energies: Float[Tensor, "steps B"]
    gradient_norms: Float[Tensor, "steps B"]
    steps: Int[Tensor, " B"]
    energy: Float[Tensor, " B"]
    calls: Int[Tensor, " B"]

    def best(self, starts: int) -> Descended:
        """Return, of each chunk's descents, the one of lowest last energy.

        Args:
            starts: descents a chunk; all chunks' first ones come first.
        """
        energy, count = self.energy.view(starts, -1), len(self.energy) // starts
        rows = energy.argmin(dim=0) * count + torch.arange(count)
        calls = self.calls.view(starts, -1).sum(dim=0)
        steps = self.energies[:, rows], self.gradient_norms[:, rows], self.steps[rows]
        return Descended(self.chunk[rows], *steps, self.energy[rows], calls)


class EnergyDescent(Sampler):
    """Descent until the gradient is small, by the dynamics that the energy was trained with.

    Steps are repeated until the gradient's norm is at most ``g_min`` or all but one are taken; then comes one more. So
    ``g_min = inf`` takes exactly one step and ``g_min = 0`` takes ``max_steps``.

    Args:
        max_steps: steps at the most.
        g_min: the gradient norm that counts as arrived.
        per_sample_stop: each chunk stops on its own; otherwise all stop once the whole batch's norm is small, as in
            the authors' code, and a chunk depends on its neighbours.
        langevin: standard deviation of noise added before each step.
        best_of: descents from as many starts, of which the one of lowest last energy is kept.
        alpha: step size; that of training by default. An entry's own step is ``alpha_hat = alpha / (T A)``.
        temp: temperature of the energy's say in the step size; that of training by default.
        mu: momentum; that of training by default.

    Source: EBT-Policy, arXiv 2510.27545; the best of several: Energy-Based Transformers, arXiv 2507.02092.
    """

    name: ClassVar[str] = "energy"
    model: ClassVar[type[ChunkModel]] = EnergyChunk

    max_steps: Annotated[int, Field(ge=1)] = 20
    g_min: Annotated[float, Field(ge=0)] = 1e-3
    per_sample_stop: bool = True
    langevin: Annotated[float, Field(ge=0)] = 0.0
    best_of: Annotated[int, Field(ge=1)] = 1
    alpha: Annotated[float, Field(gt=0)] | None = None
    temp: Annotated[float, Field(gt=0)] | None = None
    mu: Annotated[float, Field(ge=0, lt=1)] | None = None

    @model_validator(mode="after")
    def _has_seen_what_it_ranks(self) -> EnergyDescent:
        if self.best_of > 1 and self.max_steps == 1:
            raise ValueError(
                "chunks are ranked by the energy that their last step began at, which after one step is that of the "
                "noise they started from: use --sampler.max_steps 2 or more, or --sampler.best_of 1"
            )
        return self

    def dynamics(self, trained: Dynamics) -> Dynamics:
        """Return the dynamics of training, with what is set here in their place."""
        own = {name: getattr(self, name) for name in ("alpha", "temp", "mu")}
        return trained.model_copy(update={name: value for name, value in own.items() if value is not None})

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return chunks within [-1, 1] and the most network calls that one of them took."""
        found = self.descents(policy, condition, draws, rows)
        return found.chunk.clamp(-1, 1), int(found.calls.max())

    def planner(self, policy: ChunkPolicy, slots: int, generator: torch.Generator, execute: int) -> Planner:
        """Return a planner that tells energies and counts each slot's own steps."""
        return DescentPlanner(self, policy, slots, generator)

    def descents(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> Descended:
        """Return how descents from noise went, of the best start each.

        Args:
            policy: what is sampled from.
            condition: [B, ...] the policy's condition.
            draws: where starts come from.
            rows: [B] the slots that ask.

        Raises:
            ConfigError: the caller is in ``torch.inference_mode``, which cannot be left to take a gradient.
            DivergedError: a gradient is not finite.
        """
        assert isinstance(policy, EnergyChunkPolicy)
        start = torch.cat([draws(rows) for _ in range(self.best_of)])
        tries = condition.repeat(self.best_of, *[1] * (condition.dim() - 1))
        found = self.descend(policy.energy, tries, start, self.dynamics(policy.dynamics), draws.generator)
        return found.best(self.best_of)

    def descend(
        self,
        energy: Energy,
        condition: Float[Tensor, "B ..."],
        start: Float[Tensor, "B T A"],
        dynamics: Dynamics,
        generator: torch.Generator,
    ) -> Descended:
        """Return where descents from given starts end.

        Args:
            energy: a scalar a chunk.
            condition: [B, ...] what the energy sees besides the chunk.
            start: [B, T, A] where to begin.
            dynamics: step size, momentum and scale.
            generator: draws the noise, if there is any.

        Raises:
            ConfigError: the caller is in ``torch.inference_mode``, which cannot be left to take a gradient.
            DivergedError: a gradient is not finite.
        """
        if torch.is_inference_mode_enabled():
            raise ConfigError(
                "descent takes gradients, which torch.inference_mode forbids: act under torch.no_grad() instead, or "
                "under neither"
            )
        condition, chunk = condition.detach(), start.detach().clone()
        velocity = torch.zeros_like(chunk)
        energies, norms = chunk.new_full((2, self.max_steps, len(chunk)), torch.nan)
        steps = torch.zeros(len(chunk), dtype=torch.long)
        arrived = torch.full_like(steps, torch.inf <= self.g_min, dtype=torch.bool)
        going = torch.ones_like(arrived)
        for index in range(self.max_steps):
            rows = going.nonzero().flatten()
            if not len(rows):
                break
            noise = self.langevin * torch.randn(chunk[rows].shape, generator=generator) if self.langevin else None
            walked = energy_step(
                energy, condition[rows], chunk[rows], velocity[rows], dynamics, noise=noise, index=index
            )
            chunk[rows], velocity[rows] = walked.chunk, walked.velocity
            energies[index, rows], norms[index, rows] = walked.energy, walked.gradient.flatten(1).norm(dim=1)
            steps[rows] += 1
            going = going & ~arrived  # the step after arriving is the last
            norm = norms[index] if self.per_sample_stop else walked.gradient.norm()
            arrived |= norm <= self.g_min
        return Descended(chunk, energies, norms, steps, energies.gather(0, steps[None] - 1)[0], steps)


class DescentPlanner(FreshPlanner):
    """Plans every chunk from noise, and says what it found: the energy of each plan beside its calls.

    Args:
        sampler: descends.
        policy: on this policy's energy.
        slots: how many act.
        generator: noise comes from it.
    """

    sampler: EnergyDescent

    @torch.no_grad()
    def predict(self, observations: Tensor, rows: Tensor) -> Plan:
        """Return a plan for the slots ``rows``; its calls are forward passes, each with a backward one."""
        condition = self.policy.condition(observations)
        found = self.sampler.descents(self.policy, condition, self.draws, rows)
        chunk = found.chunk.clamp(-1, 1)
        figures = {"energy": found.energy, "steps": found.steps}
        return Plan(chunk, self.policy.actions.undo(chunk), found.calls, figures)
