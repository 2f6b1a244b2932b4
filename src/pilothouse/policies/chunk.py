"""Policies that plan a chunk of actions at a time, and their folder on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import RunError
from pilothouse.core.parts import Catalogue, Part
from pilothouse.policies.normalizer import Normalizer

_WEIGHTS, _SHAPE = "model.safetensors", "policy.json"


class ChunkPolicy(nn.Module):
    """A network that judges chunks of normalised actions [B, T, A] under the last To observations.

    Args:
        model: what it was built from.
        observations: normalises observations.
        actions: normalises actions.
    """

    def __init__(self, model: ChunkModel, observations: Normalizer, actions: Normalizer) -> None:
        super().__init__()
        self.model, self.observations, self.actions = model, observations, actions

    @property
    def observation_dim(self) -> int:
        """Numbers D in an observation."""
        return len(self.observations.shift)

    @property
    def action_dim(self) -> int:
        """Numbers A in an action."""
        return len(self.actions.shift)

    @property
    def horizon(self) -> int:
        """Actions T in a chunk."""
        return self.model.horizon

    def condition(self, observations: Tensor) -> Tensor:
        """Return what the network is given for the last observations [B, To, D]: [B, To * D]."""
        return self.observations(observations).flatten(1)

    def save(self, folder: Path) -> None:
        """Write weights, normalisation and shape into a folder, created if absent."""
        folder.mkdir(parents=True, exist_ok=True)
        table = {"model": self.model.model_dump(mode="json")}
        table |= {"observation_dim": self.observation_dim, "action_dim": self.action_dim}
        save_file({name: t.detach().cpu().contiguous() for name, t in self.state_dict().items()}, folder / _WEIGHTS)
        (folder / _SHAPE).write_text(json.dumps(table, indent=2))


class ChunkModel(Part):
    """The shape of a chunk policy.

    Args:
        horizon: actions T in a chunk.
        observation_steps: observations To that it sees; the chunk begins at the first of them.
        divisors: action columns that are divided by a number instead of being brought to [-1, 1], by column.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("action policy", "pilothouse.policies")

    horizon: Annotated[int, Field(ge=2)] = 16
    observation_steps: Annotated[int, Field(ge=1)] = 2
    divisors: dict[int, float] = {}

    def assemble(self, observations: Normalizer, actions: Normalizer) -> ChunkPolicy:
        """Return the policy; its weights are drawn from the global generator.

        Args:
            observations: normalises observations.
            actions: normalises actions.
        """
        raise NotImplementedError

    def policy(self, observations: ColumnStatistics, actions: ColumnStatistics, seed: int) -> ChunkPolicy:
        """Return a new policy.

        Args:
            observations: statistics of the data's observations.
            actions: statistics of the data's actions.
            seed: of its weights.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.assemble(Normalizer.min_max(observations), Normalizer.min_max(actions, self.divisors))


def load_policy(folder: Path) -> ChunkPolicy:
    """Return the policy that ``ChunkPolicy.save`` wrote.

    Raises:
        RunError: a file is missing or damaged.
    """
    try:
        table: Mapping[str, object] = json.loads((folder / _SHAPE).read_text())
        model = ChunkModel.build(table["model"])
        sizes = [int(str(table[name])) for name in ("observation_dim", "action_dim")]
        policy = model.assemble(*map(Normalizer.blank, sizes))
        policy.load_state_dict(load_file(folder / _WEIGHTS))
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise RunError(f"cannot read the policy in {folder}: {error}; train it again or give another folder") from error
    return policy.eval()
