"""EBT-Policy in three lines of Python: fit demonstrations, act, read the energy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pilothouse.control.chunks import ChunkDataset
from pilothouse.control.energy_descent import EnergyDescent
from pilothouse.control.samplers import Draws
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import validated
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.policies.chunk import ChunkPolicy
from pilothouse.policies.ema import EMA
from pilothouse.tasks.demonstrations import Demonstrations
from pilothouse.training.action_fit import fit_step
from pilothouse.training.action_recipe import ActionPolicy
from pilothouse.training.optimizer import Optimizer


@dataclass(frozen=True)
class Acted:
    """What a policy answers.

    Args:
        actions: [B, Ta, A] what to execute, in the task's units.
        energy: [B] of the plan, at its last step; high where the situation is unlike training.
        steps: [B] steps it took.
    """

    actions: Float[Tensor, "B Ta A"]
    energy: Float[Tensor, " B"]
    steps: Int[Tensor, " B"]


class EBTPolicy:
    """EBT-Policy without a run: ``EBTPolicy(5, 3).fit(demonstrations).act(observations, max_steps=2)``.

    Args:
        obs_dim: numbers D in an observation.
        act_dim: numbers A in an action.
        recipe: model, loss, sampler and training; the method's own by default.
        seed: root of weights, batches and noise.
    """

    def __init__(self, obs_dim: int, act_dim: int, recipe: ActionPolicy | None = None, seed: int = 0) -> None:
        own = find_method("ebt-policy").recipe if recipe is None else recipe
        assert isinstance(own, ActionPolicy)
        self.obs_dim, self.act_dim, self.recipe = obs_dim, act_dim, own
        self._seeds, self._noise = SeedTree(seed), (SeedTree(seed) / "noise").torch()
        self._policy: ChunkPolicy | None = None

    @property
    def policy(self) -> ChunkPolicy:
        """The network with its normalisation, to ``save`` and to look into.

        Raises:
            ConfigError: it has not been fitted.
        """
        if self._policy is None:
            raise ConfigError("the policy has learnt nothing yet: call fit(demonstrations) first")
        return self._policy

    def fit(self, demonstrations: Demonstrations) -> Self:
        """Learn from recorded episodes, from the beginning; the average of the weights is what acts.

        Args:
            demonstrations: episodes with their statistics, which normalise observations and actions.

        Raises:
            ConfigError: they have other numbers of observations or actions.
            DivergedError: loss or gradient is not finite.
        """
        found = len(demonstrations.observations.low), len(demonstrations.actions.low)
        if found != (self.obs_dim, self.act_dim):
            raise ConfigError(
                f"the episodes have observations of {found[0]} and actions of {found[1]} numbers, the policy was made "
                f"for {self.obs_dim} and {self.act_dim}: give EBTPolicy{found}"
            )
        recipe, training = self.recipe, self.recipe.training
        policy = recipe.policy.policy(
            demonstrations.observations, demonstrations.actions, (self._seeds / "weights").integer()
        )
        data = ChunkDataset(demonstrations, policy.horizon, policy.model.observation_steps)
        optimizer, ema = Optimizer(dict(policy.named_parameters()), training), EMA(policy, training.ema_power)
        for step in range(training.steps):
            draw = (self._seeds / "batches" / step).torch()
            fit_step(policy, recipe.objective, data.draw(training.batch, draw), optimizer, ema, step, draw)
        policy.load_state_dict({**policy.state_dict(), **ema.average})
        self._policy = policy.eval()
        return self

    def act(self, observations: Float[Tensor, "B To D"], **sampler: Any) -> Acted:
        """Return the actions to execute next.

        Args:
            observations: [B, To, D] the last observations of each slot, oldest first.
            sampler: settings laid over the recipe's descent, such as ``max_steps=2`` or ``best_of=8``.

        Raises:
            ConfigError: it has not been fitted, or a setting or the observations do not fit.
        """
        policy, table = self.policy, self.recipe.sampler.model_dump()
        table.pop("name")
        descent = validated(EnergyDescent, {**table, **sampler}, "sampler 'energy'")
        window = policy.model.observation_steps
        if observations.shape[1:] != (window, self.obs_dim):
            raise ConfigError(
                f"observations of shape {tuple(observations.shape)} do not fit [slots, {window}, {self.obs_dim}]: give "
                f"the last {window} observations of each slot"
            )
        slots = len(observations)
        draws = Draws(slots, (policy.horizon, self.act_dim), self._noise)
        with torch.no_grad():
            condition = policy.condition(observations)
            found = descent.descents(policy, condition, draws, torch.arange(slots))
            actions = policy.actions.undo(found.chunk.clamp(-1, 1))
        return Acted(actions[:, window - 1 : window - 1 + self.recipe.execute], found.energy, found.steps)
