"""Gymnasium environments as slots: each is a simulator of its own, stepped in turn."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.control import Moment


def needed(module: str, what: str) -> ModuleType:
    """Return an optional module.

    Raises:
        ConfigError: it is not installed; the message names the extra.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(f"{what} needs {module} ({error}): pip install 'pilothouse[control]'") from error


class GymnasiumEnvironment:
    """Slots that are Gymnasium environments with vectors as observations and actions.

    Args:
        build: makes one.
        n: slots.
        seeds: node of the episodes; that of slot i's k-th episode is ``seeds / i / k``.
    """

    def __init__(self, build: Callable[[], Any], n: int, seeds: SeedTree) -> None:
        self.n, self.seeds = n, seeds
        self._worlds = [build() for _ in range(n)]
        self._episodes = [0] * n
        self._seen = torch.zeros(n, int(np.prod(self._worlds[0].observation_space.shape)))
        self._terminated, self._truncated = torch.zeros(n, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
        self._success = torch.full((n,), float("nan"))

    def reset(self, slots: Tensor | None = None) -> Tensor:
        """Begin new episodes in ``slots`` and return what is seen everywhere, [N, D]."""
        chosen = range(self.n) if slots is None else slots.nonzero().flatten().tolist()
        for slot in chosen:
            seed = (self.seeds / slot / self._episodes[slot]).integer() % 2**31
            seen, _ = self._worlds[slot].reset(seed=seed)
            self._seen[slot] = torch.as_tensor(seen, dtype=torch.float32).flatten()
            self._episodes[slot] += 1
            self._terminated[slot] = self._truncated[slot] = False
            self._success[slot] = float("nan")
        return self._seen.clone()

    def step(self, actions: Tensor) -> Moment:
        """Act in every slot whose episode goes on."""
        rewards = torch.zeros(self.n)
        for slot in (~(self._terminated | self._truncated)).nonzero().flatten().tolist():
            world = self._worlds[slot]
            action = actions[slot].numpy().astype(world.action_space.dtype).reshape(world.action_space.shape)
            seen, reward, terminated, truncated, facts = world.step(action)
            self._seen[slot] = torch.as_tensor(seen, dtype=torch.float32).flatten()
            rewards[slot] = float(reward)
            self._terminated[slot], self._truncated[slot] = bool(terminated), bool(truncated)
            if "is_success" in facts:
                self._success[slot] = float(facts["is_success"])
        return Moment(
            self._seen.clone(), rewards, self._terminated.clone(), self._truncated.clone(), self._success.clone()
        )
