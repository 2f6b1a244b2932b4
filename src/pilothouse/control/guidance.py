"""Guidance of a trajectory sampler by a policy: only its actions are pushed, to where the policy likes them more."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from pilothouse.control.columns import TrajectoryColumns
from pilothouse.control.edm import Denoise
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import Settings


@runtime_checkable
class MeanPolicy(Protocol):
    """A policy of one action a state."""

    def mean(self, observations: Tensor) -> Tensor:
        """Return the action in each state, [N, A] within [-1, 1], from observations [N, D] in the task's units."""
        ...


@runtime_checkable
class DensityPolicy(Protocol):
    """A policy with a density over actions."""

    def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the log-density of actions [N, A] in states [N, D]: [N], differentiable in the actions."""
        ...


class ActionGuidance(Settings):
    """lambda_i times the gradient of the policy's log-probability, added to the actions before each sampler step.

    lambda_i = coeff [(1 - i / N) + cosine sin(pi (i + 1) / N)] for delay <= i < N - 1, else 0.

    Args:
        coeff: lambda; 0 guides nothing.
        cosine: weight of the bump in the middle of the schedule.
        delay: steps left unguided at the beginning.
        normalize: bring the gradient of each trajectory to norm 1.
        on: whether the policy looks at the noised trajectory, or at what the denoiser expects behind it.
        std: use a Gaussian of this deviation around the policy's mean instead of its own density; a policy without a
            density gets one of deviation 1.
        compat: normalise as the released code does, which adds its epsilon to the gradient.

    Source: arXiv 2404.06356, equation 5 and its released code.
    """

    coeff: Annotated[float, Field(ge=0)] = 1.0
    cosine: Annotated[float, Field(ge=0)] = 0.3
    delay: Annotated[int, Field(ge=0)] = 0
    normalize: bool = True
    on: Literal["noised", "denoised"] = "noised"
    std: Annotated[float, Field(gt=0)] | None = None
    compat: bool = False

    def strength(self, step: int, steps: int) -> float:
        """Return lambda_i of a sampler step, counted from 0, of ``steps``."""
        if not self.delay <= step < steps - 1:
            return 0.0
        return self.coeff * ((1 - step / steps) + self.cosine * math.sin(math.pi * (step + 1) / steps))

    def gradient(self, policy: Any, columns: TrajectoryColumns, x: Float[Tensor, "N T C"]) -> Float[Tensor, "N T A"]:
        """Return the gradient of the policy's log-probability with respect to the action columns.

        Args:
            policy: a ``DensityPolicy`` or a ``MeanPolicy``.
            columns: reads the trajectories.
            x: [N, T, C] normalised trajectories; their states are held constant.

        Raises:
            ConfigError: the policy has neither ``log_prob`` nor ``mean``, or no gradient reaches the actions.
        """
        states = columns.read_states(x).detach().flatten(0, 1)
        with torch.enable_grad():
            before = x[..., columns.action_columns].detach().requires_grad_()
            found = self._log_prob(policy, states, columns.squashed(before).flatten(0, 1))
            if not found.requires_grad:
                raise ConfigError(
                    f"the log-probability of {type(policy).__name__} has no gradient with respect to the action: "
                    "compute it with torch operations and without no_grad, or give the policy mean(observations)"
                )
            (slope,) = torch.autograd.grad(found.sum(), before)
        return self._normalized(slope) if self.normalize else slope

    def nudge(
        self, policy: Any, columns: TrajectoryColumns, steps: int, step: int, x: Tensor, sigma: Tensor, denoise: Denoise
    ) -> Float[Tensor, "N T C"]:
        """Return trajectories with guided actions; states, rewards and ends are left as they are."""
        strength = self.strength(step, steps)
        if not strength:
            return x
        seen = denoise(x, sigma.expand(len(x))) if self.on == "denoised" else x
        guided = x.clone()
        guided[..., columns.action_columns] += strength * self.gradient(policy, columns, seen)
        return guided

    def _log_prob(self, policy: Any, states: Tensor, actions: Tensor) -> Tensor:
        if isinstance(policy, DensityPolicy) and self.std is None:
            return policy.log_prob(states, actions)
        if isinstance(policy, MeanPolicy):
            with torch.no_grad():
                wanted = policy.mean(states)
            return -0.5 * ((actions - wanted) / (self.std or 1.0)).square().sum(-1)
        raise ConfigError(
            f"{type(policy).__name__} cannot guide: it needs mean(observations), or log_prob(observations, actions)"
        )

    def _normalized(self, slope: Tensor) -> Tensor:
        norm = slope.norm(dim=(1, 2), keepdim=True)
        return (slope + 1e-8) / norm if self.compat else slope / (norm + 1e-8)
