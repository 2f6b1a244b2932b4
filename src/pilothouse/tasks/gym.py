"""Any Gymnasium environment of vectors, such as the MuJoCo tasks: ``gym:Hopper-v5``."""

from __future__ import annotations

from functools import cache
from typing import Any, ClassVar

import torch
from torch import Tensor

from pilothouse.core.errors import ConfigError, nearest
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import ControlTask, Environment
from pilothouse.tasks.gymnasium_world import GymnasiumEnvironment, needed


class Gym(ControlTask):
    """A Gymnasium environment by its id, as gym:Hopper-v5; judged by its return.

    Args:
        environment: the environment's id.
    """

    name: ClassVar[str] = "gym"

    environment: str

    @property
    def title(self) -> str:
        """The environment's id."""
        return self.environment.replace("/", "-")

    @property
    def observation_dim(self) -> int:
        """Numbers in an observation."""
        return _spaces(self.environment)[0].shape[0]

    @property
    def action_dim(self) -> int:
        """Numbers in an action."""
        return _spaces(self.environment)[1].shape[0]

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest action."""
        space = _spaces(self.environment)[1]
        return torch.as_tensor(space.low).float(), torch.as_tensor(space.high).float()

    @property
    def horizon(self) -> int:
        """Steps of an episode."""
        return _spaces(self.environment)[2]

    def make(self, n: int, seeds: SeedTree) -> Environment:
        """Return ``n`` simulators."""
        return GymnasiumEnvironment(lambda: _make(self.environment), n, seeds)


@cache
def _spaces(environment: str) -> tuple[Any, Any, int]:
    world = _make(environment)
    spaces = needed("gymnasium.spaces", f"task 'gym:{environment}'")
    for space, what in ((world.observation_space, "observations"), (world.action_space, "actions")):
        if not isinstance(space, spaces.Box) or len(space.shape) != 1:
            raise ConfigError(f"the {what} of '{environment}' are {space}, not a vector of numbers: choose another")
    limit = world.spec.max_episode_steps or 1000
    found = world.observation_space, world.action_space, int(limit)
    world.close()
    return found


def _make(environment: str) -> Any:
    gymnasium = needed("gymnasium", f"task 'gym:{environment}'")
    try:
        return gymnasium.make(environment)
    except gymnasium.error.UnregisteredEnv:
        raise ConfigError(f"unknown environment '{environment}'{nearest(environment, gymnasium.registry)}") from None
    except gymnasium.error.DependencyNotInstalled as error:
        raise ConfigError(
            f"environment '{environment}' needs a package that is not installed ({error}): "
            "pip install 'pilothouse[control]'"
        ) from None
