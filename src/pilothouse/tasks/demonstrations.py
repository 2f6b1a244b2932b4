"""Recorded episodes of a control task, with the statistics that normalise them: neither is read without the other.

A folder holds ``episodes.safetensors`` (all episodes end to end) and ``statistics.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import DataError

_EPISODES, _STATISTICS = "episodes.safetensors", "statistics.json"


@dataclass(frozen=True)
class Trajectory:
    """One episode in an environment.

    Args:
        observations: [H+1, D] what was seen before each action, and after the last one.
        actions: [H, A] what was done, in the environment's units.
        rewards: [H] what it brought.
        terminated: whether the last state ended the task itself; ``False`` after a time limit.
        success: 1.0 if the task was fulfilled, 0.0 if not, NaN where the task does not say.
    """

    observations: Tensor
    actions: Tensor
    rewards: Tensor
    terminated: bool = False
    success: float = float("nan")

    def __post_init__(self) -> None:
        """Refuse rows that do not fit together."""
        steps = len(self.actions)
        if steps < 1 or len(self.observations) != steps + 1 or len(self.rewards) != steps:
            raise DataError(
                f"an episode of {steps} actions has {len(self.observations)} observations and {len(self.rewards)} "
                "rewards: give at least one action, one observation more than actions and a reward for each"
            )

    def __len__(self) -> int:
        return len(self.actions)


@dataclass(frozen=True)
class Demonstrations:
    """Episodes to learn from.

    Args:
        trajectories: the episodes.
        observations: statistics of the observations that were acted on.
        actions: statistics of the actions.
    """

    trajectories: tuple[Trajectory, ...]
    observations: ColumnStatistics
    actions: ColumnStatistics

    @staticmethod
    def of(trajectories: Sequence[Trajectory]) -> Demonstrations:
        """Return episodes with their statistics.

        Raises:
            DataError: there is none, or a number is not finite.
        """
        if not trajectories:
            raise DataError("there are no episodes to learn from; record at least one")
        for index, one in enumerate(trajectories):
            if not (one.observations.isfinite().all() and one.actions.isfinite().all()):
                raise DataError(f"episode {index} holds numbers that are not finite: leave it out")
        seen = torch.cat([one.observations[:-1] for one in trajectories])
        done = torch.cat([one.actions for one in trajectories])
        return Demonstrations(tuple(trajectories), ColumnStatistics.of(seen), ColumnStatistics.of(done))

    def __len__(self) -> int:
        return len(self.trajectories)

    @property
    def steps(self) -> int:
        """Actions in all episodes."""
        return sum(map(len, self.trajectories))

    def save(self, folder: Path) -> None:
        """Write the episodes and their statistics.

        Raises:
            DataError: the folder cannot be written.
        """
        write_episodes(folder, self.trajectories)
        statistics = {"observations": self.observations.to_dict(), "actions": self.actions.to_dict()}
        try:
            (folder / _STATISTICS).write_text(json.dumps(statistics, indent=2))
        except OSError as error:
            raise DataError(f"cannot write {folder / _STATISTICS}: {error}; free space") from error

    @staticmethod
    def load(folder: Path) -> Demonstrations:
        """Return what ``save`` wrote.

        Raises:
            DataError: a file is missing or damaged, or the normalisation statistics are not there or do not fit.
        """
        trajectories = read_episodes(folder)
        observations = _statistics(folder, "observations", trajectories[0].observations.shape[1])
        actions = _statistics(folder, "actions", trajectories[0].actions.shape[1])
        return Demonstrations(tuple(trajectories), observations, actions)


def write_episodes(folder: Path, episodes: Sequence[Trajectory]) -> None:
    """Write episodes alone, without the statistics that learning from them needs.

    Raises:
        DataError: the folder cannot be written.
    """
    tensors = {
        "observations": torch.cat([one.observations for one in episodes]),
        "actions": torch.cat([one.actions for one in episodes]),
        "rewards": torch.cat([one.rewards for one in episodes]),
        "lengths": torch.tensor([len(one) for one in episodes]),
        "terminated": torch.tensor([one.terminated for one in episodes]),
        "success": torch.tensor([one.success for one in episodes]),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / _EPISODES)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot write episodes to {folder}: {error}; free space or name another folder") from error


def read_episodes(folder: Path) -> list[Trajectory]:
    """Return what ``write_episodes`` wrote.

    Raises:
        DataError: the file is missing or damaged.
    """
    tensors = _tensors(folder)
    try:
        return _split(tensors)
    except (KeyError, RuntimeError) as error:
        raise DataError(f"{folder / _EPISODES} is damaged ({error}); save the episodes again") from error


def _tensors(folder: Path) -> dict[str, Tensor]:
    try:
        return load_file(folder / _EPISODES)
    except (OSError, SafetensorError) as error:
        raise DataError(f"cannot read {folder / _EPISODES}: {error}; name a folder of saved episodes") from error


def _statistics(folder: Path, name: str, width: int) -> ColumnStatistics:
    path = folder / _STATISTICS
    try:
        found = ColumnStatistics.from_dict(json.loads(path.read_text())[name])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} has no normalisation statistics of its {name} ({_STATISTICS}: {error!r}): save the episodes "
            "with Demonstrations.of(episodes).save(folder), which writes them"
        ) from error
    if len(found.low) != width:
        raise DataError(f"{path} does not fit the {name} beside it; save the episodes again")
    return found


def _split(tensors: Mapping[str, Tensor]) -> list[Trajectory]:
    lengths = tensors["lengths"].tolist()
    seen = tensors["observations"].split([length + 1 for length in lengths])
    done, rewards = tensors["actions"].split(lengths), tensors["rewards"].split(lengths)
    ends, successes = tensors["terminated"].tolist(), tensors["success"].tolist()
    return [Trajectory(*parts) for parts in zip(seen, done, rewards, ends, successes, strict=True)]
