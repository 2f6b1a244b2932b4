"""Real-time iterations of a diffusion policy: the plan of a moment ago, shifted, polished by the last denoising steps.

G = [A_t[s:], last row repeated s times];  A_{t+1} = the steps in S of the reverse process from G under O_{t+1}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from pydantic import BeforeValidator, Field, model_validator
from torch import Tensor

from pilothouse.control.samplers import DDPM, Draws, Plan, Planner, Sampler
from pilothouse.control.steps import implicit_step, posterior_step, signal
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import SLOT, Settings, validated
from pilothouse.policies.chunk import ChunkModel, ChunkPolicy
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy

_WHOLE = BeforeValidator(lambda v: [v] if isinstance(v, int) else v.split(",") if isinstance(v, str) else v)


class DiscreteSpec(Settings):
    """Action channels that are -1 or 1, which a few small steps could not flip.

    Args:
        dims: which; negative ones count from the end.
        mode: "clip" puts the guess at +-1/``factor``, where either sign is within reach; "scale" leaves it, for a
            policy trained with these channels divided (``policy.divisors``); "none" treats them like the others.
        factor: how near to zero the guess is put.
        threshold: a prediction above it means 1, else -1.
    """

    dims: Annotated[tuple[int, ...], _WHOLE] = ()
    mode: Literal["clip", "scale", "none"] = "clip"
    factor: Annotated[float, Field(gt=0)] = 10.0
    threshold: float = 0.0

    def signs(self, chunk: Tensor) -> Tensor:
        """Return -1 or 1 for each discrete channel of ``chunk`` [B, T, A], [B, T, len(dims)]."""
        return torch.where(chunk[..., list(self.dims)] > self.threshold, 1.0, -1.0)

    def guess(self, chunk: Tensor) -> Tensor:
        """Return the chunk as the next guess should hold it."""
        if self.mode != "clip" or not self.dims:
            return chunk
        chunk = chunk.clone()
        chunk[..., list(self.dims)] = self.signs(chunk) / self.factor
        return chunk

    def executed(self, chunk: Tensor, actions: Tensor) -> Tensor:
        """Return ``actions`` [B, T, A] with the signs of ``chunk`` in the discrete channels."""
        if self.mode == "none" or not self.dims:
            return actions
        actions = actions.clone()
        actions[..., list(self.dims)] = self.signs(chunk)
        return actions


class Iteration(Settings):
    """How a guess is polished.

    Args:
        steps: noise levels S at which the network is asked, strictly decreasing to 0.
        transition: "adjacent" goes from level k to k - 1 even where S skips levels, as the released code does;
            "spaced" goes to the next level of S.
        eta: for "spaced": 0 is DDIM, 1 has the posterior's variance.
        noise: for "adjacent": whether the posterior is sampled or its mean taken.
        renoise: bring the guess to the noise of the first level before; the paper does not.
        fallback: solve in full where the polished plan is farther than this from its guess, as the root mean square of
            normalised actions; 0 never does.
    """

    steps: Annotated[tuple[int, ...], _WHOLE] = (3, 1, 0)
    transition: Literal["adjacent", "spaced"] = "adjacent"
    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    noise: bool = True
    renoise: bool = False
    fallback: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _falling(self) -> Self:
        falling = all(a > b for a, b in zip(self.steps, self.steps[1:], strict=False))
        if not self.steps or not falling or self.steps[-1] != 0:
            raise ValueError(f"steps = {list(self.steps)}: give levels that strictly decrease and end at 0, as 3,1,0")
        return self


class WarmStartSampler:
    """Plans for slots, each from its own plan of a moment ago.

    Args:
        policy: any diffusion policy.
        steps: noise levels S at which the network is asked, strictly decreasing to 0.
        shift: actions executed between two plans, s.
        discrete: channels that are -1 or 1.
        first: solves in full after a reset; ancestral sampling by default.
        generator: noise comes from it; one of seed 0 by default.
        slots: how many act; by default the batch of the first call of ``act``.
        how: further settings of ``Iteration``.

    Raises:
        ConfigError: steps do not fall to 0 or begin beyond the policy's levels, a discrete channel is not there, or the
            shift leaves nothing of a chunk.
    """

    def __init__(
        self,
        policy: DiffusionChunkPolicy,
        steps: Sequence[int] = (3, 1, 0),
        *,
        shift: int = 1,
        discrete: DiscreteSpec | None = None,
        first: Sampler | None = None,
        generator: torch.Generator | None = None,
        slots: int = 0,
        how: Mapping[str, Any] | None = None,
    ) -> None:
        self.how = validated(Iteration, {**(how or {}), "steps": tuple(steps)}, "the warm start")
        self.policy, self.shift, self.discrete = policy, shift, discrete or DiscreteSpec()
        self.first = first or DDPM()
        if self.how.steps[0] >= policy.levels:
            raise ConfigError(f"steps begin at level {self.how.steps[0]} and the policy has {policy.levels}: lower it")
        if any(not -policy.action_dim <= dim < policy.action_dim for dim in self.discrete.dims):
            raise ConfigError(
                f"discrete channels {list(self.discrete.dims)} of {policy.action_dim}: name those there are"
            )
        if not 1 <= shift < policy.horizon:
            raise ConfigError(
                f"a shift of {shift} leaves nothing of a chunk of {policy.horizon}: give 1 or little more"
            )
        self._generator = generator or torch.Generator().manual_seed(0)
        self._begin(slots)

    def _begin(self, slots: int) -> None:
        shape = (self.policy.horizon, self.policy.action_dim)
        self.draws, self.guess = Draws(slots, shape, self._generator), torch.zeros(slots, *shape)
        self._known, self._ready = torch.zeros(slots, dtype=torch.bool), torch.zeros(slots, dtype=torch.bool)

    def reset(self, slots: Tensor) -> None:
        """Begin new episodes in ``slots`` [N]: their next plan is solved in full, and no other's."""
        if len(slots) != len(self._known):
            self._begin(len(slots))
            slots = torch.ones_like(slots)
        self._known &= ~slots
        self._ready |= slots

    @torch.no_grad()
    def predict(self, observations: Tensor, rows: Tensor | None = None) -> Plan:
        """Return a plan for each of the slots ``rows`` and keep it, shifted, as their next guess.

        Args:
            observations: [B, To, D] the last observations of these slots.
            rows: [B] which slots; all by default.

        Returns:
            The plan; its figures are ``start_level`` (K for a full solve) and ``guess_error``, the root mean square
            distance between guess and plan (0 for a full solve).

        Raises:
            ConfigError: a slot was never reset, or the batch has another size than at the last reset.
        """
        rows = torch.arange(len(observations)) if rows is None else rows
        if len(rows) != len(observations) or (len(rows) and int(rows.max()) >= len(self._known)):
            raise ConfigError(
                f"{len(observations)} observations for {len(self._known)} slots: call reset(torch.ones(n, dtype=bool)) "
                "when their number changes"
            )
        if not self._ready[rows].all():
            raise ConfigError("predict before reset: call reset(torch.ones(n, dtype=bool)) when episodes begin")
        condition, known = self.policy.condition(observations), self._known[rows]
        chunk = self.guess[rows].clone()
        calls = torch.zeros(len(rows), dtype=torch.long)
        error, level = torch.zeros(len(rows)), torch.full((len(rows),), self.policy.levels)
        if known.any():
            warm = known.nonzero().flatten()
            chunk[warm] = self.polish(self.guess[rows[warm]], condition[warm], rows[warm])
            calls[warm], level[warm] = len(self.how.steps), self.how.steps[0]
            error[warm] = (chunk[warm] - self.guess[rows[warm]]).square().flatten(1).mean(1).sqrt()
        far = error > self.how.fallback if self.how.fallback else torch.zeros_like(known)
        cold = (~known | far).nonzero().flatten()
        if len(cold):
            chunk[cold], spent = self.first.sample(self.policy, condition[cold], self.draws, rows[cold])
            calls[cold] += spent
            level[cold] = self.policy.levels
        self.guess[rows] = self.discrete.guess(shifted(chunk, self.shift))
        self._known[rows] = True
        actions = self.discrete.executed(chunk, self.policy.actions.undo(chunk))
        return Plan(chunk, actions, calls, {"start_level": level.float(), "guess_error": error})

    def polish(self, guess: Tensor, condition: Tensor, rows: Tensor) -> Tensor:
        """Return guesses [B, T, A] after the steps of S under a condition [B, C]."""
        how, alphas = self.how, self.policy.alphas
        chunk = guess
        if how.renoise:
            share = signal(alphas, how.steps[0])
            chunk = share**0.5 * chunk + (1 - share) ** 0.5 * self.draws(rows)
        for level, after in zip(how.steps, [*how.steps[1:], -1], strict=True):
            noise = self.policy.eps(chunk, level, condition)
            if how.transition == "adjacent":
                fresh = self.draws(rows) if how.noise and level else None
                chunk = posterior_step(chunk, noise, alphas, level, level - 1, fresh)
            else:
                fresh = self.draws(rows) if how.eta and after >= 0 else None
                chunk = implicit_step(chunk, noise, alphas, level, after, how.eta, fresh)
        return chunk

    def act(self, observations: Tensor) -> Tensor:
        """Return the actions to execute now, [B, A], for the last observations [B, To, D]; the first call begins."""
        if not len(self._known):
            self.reset(torch.ones(len(observations), dtype=torch.bool))
        return self.predict(observations).actions[:, self.policy.model.observation_steps - 1]


def shifted(chunk: Tensor, by: int) -> Tensor:
    """Return chunks [B, T, A] without their first ``by`` rows and with the last one repeated as often."""
    return torch.cat([chunk[:, by:], chunk[:, -1:].expand(-1, by, -1)], dim=1)


class RTI(Sampler, Iteration):
    """Polish the last plan, shifted, by a few denoising steps (RTI-DP, arXiv 2508.05396).

    Args:
        first: solves in full when an episode begins.
        discrete: channels that are -1 or 1.
    """

    name: ClassVar[str] = "rti"
    model: ClassVar[type[ChunkModel]] = DiffusionChunk

    first: Annotated[Sampler, SLOT] = DDPM()
    discrete: DiscreteSpec = DiscreteSpec()

    def sample(self, policy: ChunkPolicy, condition: Tensor, draws: Draws, rows: Tensor) -> tuple[Tensor, int]:
        """Return chunks solved in full: without a plan of a moment ago there is nothing to polish."""
        return self.first.sample(policy, condition, draws, rows)

    def planner(self, policy: ChunkPolicy, slots: int, generator: torch.Generator, execute: int) -> Planner:
        """Return what remembers the plans of ``slots`` slots."""
        assert isinstance(policy, DiffusionChunkPolicy)
        how = {name: getattr(self, name) for name in Iteration.model_fields if name != "steps"}
        return WarmStartSampler(
            policy,
            self.steps,
            shift=execute,
            discrete=self.discrete,
            first=self.first,
            generator=generator,
            slots=slots,
            how=how,
        )
