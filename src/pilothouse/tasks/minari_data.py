"""Recorded episodes as Minari data sets: written, read from this machine, or fetched from the hub.

The statistics that normalise observations and actions are in the data set's metadata; without them nothing is read.
"""

from __future__ import annotations

import json
import warnings
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import DataError
from pilothouse.tasks.control import ControlTask
from pilothouse.tasks.demonstrations import Demonstrations, Trajectory
from pilothouse.tasks.gymnasium_world import needed

_KEY = "pilothouse_statistics"


def write_minari(name: str, episodes: Demonstrations, task: ControlTask, description: str = "") -> None:
    """Write episodes as a local Minari data set, their statistics included.

    Args:
        name: the data set's id, such as "drift/behaviour-v0".
        episodes: what was recorded.
        task: what it was recorded on; gives the spaces.
        description: how it was recorded.

    Raises:
        ConfigError: minari is not installed.
        DataError: there is such a data set already, or it cannot be written.
    """
    minari = needed("minari", "writing a Minari data set")
    spaces = needed("gymnasium.spaces", "writing a Minari data set")
    collector = needed("minari.data_collector", "writing a Minari data set")
    buffers = [_buffer(collector, index, one) for index, one in enumerate(episodes.trajectories)]
    low, high = (limit.numpy().astype(np.float32) for limit in task.bounds)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about authors and links, which a local data set may lack
            made = minari.create_dataset_from_buffers(
                name,
                buffer=buffers,
                observation_space=spaces.Box(-np.inf, np.inf, (task.observation_dim,), np.float32),
                action_space=spaces.Box(low, high, dtype=np.float32),
                description=description or f"recorded on task '{task.title}'",
                data_format="arrow",
            )
        made.storage.update_metadata({_KEY: json.dumps(_statistics(episodes))})
    except (OSError, ValueError) as error:
        raise DataError(f"cannot write Minari data set '{name}': {error}; choose another name or delete it") from error


def read_minari(name: str) -> Demonstrations:
    """Return a Minari data set of this machine that holds its normalisation statistics.

    Raises:
        ConfigError: minari is not installed.
        DataError: it is not here, it holds no statistics, or its observations or actions are no vectors.
    """
    found = _local(name)
    saved = found.storage.metadata.get(_KEY)
    if saved is None:
        raise DataError(
            f"Minari data set '{name}' has no normalisation statistics: measure and keep them once with "
            f"measure_minari('{name}') of pilothouse.tasks.minari_data"
        )
    try:
        table = json.loads(saved)
        statistics = [ColumnStatistics.from_dict(table[kind]) for kind in ("observations", "actions")]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"the normalisation statistics of Minari data set '{name}' are damaged ({error!r}): measure them anew with "
            f"measure_minari('{name}')"
        ) from error
    return Demonstrations(tuple(_trajectories(name, found)), *statistics)


def measure_minari(name: str) -> Demonstrations:
    """Measure the normalisation statistics of a data set of this machine, keep them in it, and return it.

    Raises:
        ConfigError: minari is not installed.
        DataError: it is not here, or its observations or actions are no vectors.
    """
    found = _local(name)
    episodes = Demonstrations.of(_trajectories(name, found))
    found.storage.update_metadata({_KEY: json.dumps(_statistics(episodes))})
    return episodes


def fetch_minari(name: str) -> Demonstrations:
    """Return a data set of the Minari hub, such as "mujoco/hopper/medium-v0", with statistics measured and kept here.

    Raises:
        ConfigError: minari is not installed.
        DataError: the hub cannot be reached or knows no such data set.
    """
    minari = needed("minari", "fetching a Minari data set")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            minari.download_dataset(name)
    except (OSError, ValueError, *_transport_errors()) as error:
        raise DataError(
            f"cannot fetch Minari data set '{name}' ({type(error).__name__}: {error}): check its name and the network, "
            "or copy it into the folder that MINARI_DATASETS_PATH names"
        ) from error
    return measure_minari(name)


def _transport_errors() -> tuple[type[Exception], ...]:
    """Return what the hub's clients raise when the network fails: each transport has an error of its own."""
    found = [import_module(module) for module in ("httpx", "httpx2", "requests") if find_spec(module)]
    kinds = (getattr(module, name, None) for module in found for name in ("HTTPError", "RequestException"))
    return tuple(kind for kind in kinds if kind is not None)


def _local(name: str) -> Any:
    minari = needed("minari", "reading a Minari data set")
    try:
        return minari.load_dataset(name)
    except (FileNotFoundError, ValueError) as error:
        raise DataError(
            f"there is no Minari data set '{name}' on this machine: fetch it with fetch_minari('{name}'), or write it "
            "with write_minari"
        ) from error
    except ImportError as error:
        raise DataError(f"Minari data set '{name}' cannot be read: {error}") from error


def _statistics(episodes: Demonstrations) -> dict[str, Any]:
    return {"observations": episodes.observations.to_dict(), "actions": episodes.actions.to_dict()}


def _buffer(collector: Any, index: int, episode: Trajectory) -> Any:
    terminated = np.zeros(len(episode), dtype=bool)
    truncated = np.zeros(len(episode), dtype=bool)
    terminated[-1], truncated[-1] = episode.terminated, not episode.terminated
    return collector.EpisodeBuffer(
        id=index,
        observations=episode.observations.numpy().astype(np.float32),
        actions=episode.actions.numpy().astype(np.float32),
        rewards=episode.rewards.tolist(),
        terminations=terminated.tolist(),
        truncations=truncated.tolist(),
        infos={},
    )


def _trajectories(name: str, found: Any) -> list[Trajectory]:
    episodes: list[Trajectory] = []
    for one in found.iterate_episodes():
        observations, actions = (_vectors(name, rows) for rows in (one.observations, one.actions))
        rewards = torch.tensor(one.rewards, dtype=torch.float32)
        episodes.append(Trajectory(observations, actions, rewards, bool(one.terminations[-1])))
    return episodes


def _vectors(name: str, rows: Any) -> Tensor:
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or not np.issubdtype(rows.dtype, np.floating):
        raise DataError(
            f"Minari data set '{name}' has observations or actions that are no vectors of real numbers: choose "
            "another, or flatten it first"
        )
    return torch.tensor(rows, dtype=torch.float32)
