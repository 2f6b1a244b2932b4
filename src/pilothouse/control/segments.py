"""Episodes cut into windows of one length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.control.columns import Pieces, TrajectoryColumns
from pilothouse.control.offline_data import OfflineData
from pilothouse.core.errors import DataError
from pilothouse.tasks.demonstrations import Trajectory


def window_starts(steps: int, length: int, stride: int, terminated: bool) -> list[int]:
    """Return where the windows of an episode start: every ``stride`` steps, and where one ends with a real end.

    A window may not cross the episode's end. One whose last step is a time-out is left out: what came after that step
    was cut off, and it would look like an end.

    Args:
        steps: steps of the episode.
        length: steps T of a window.
        stride: steps from one start to the next.
        terminated: whether the episode ended for good.
    """
    last = steps - length
    starts = list(range(0, last + 1, stride))
    if terminated and last >= 0 and last not in starts:
        starts.append(last)
    return [start for start in starts if terminated or start != last]


@dataclass(frozen=True)
class Segments:
    """Windows of episodes.

    Args:
        rows: [N, T, D + A + 2] raw columns (see ``TrajectoryColumns.raw``).
        episode: [N] the episode that each comes from.
        actions: width A.
        short: episodes that gave no window.
    """

    rows: Float[Tensor, "N T C"]
    episode: Tensor
    actions: int
    short: int

    def __len__(self) -> int:
        return len(self.rows)


def segment_dataset(data: OfflineData, length: int, stride: int) -> Segments:
    """Return windows of ``length`` steps of every episode.

    Args:
        data: recorded episodes.
        length: steps T of a window.
        stride: steps from one start to the next.

    Raises:
        DataError: no episode is long enough.
    """
    rows: list[Tensor] = []
    owner: list[int] = []
    episodes = data.episodes.trajectories
    for index, episode in enumerate(episodes):
        starts = window_starts(len(episode), length, stride, episode.terminated)
        if starts:
            whole = _rows(data, episode)
            rows += [whole[start : start + length] for start in starts]
            owner += [index] * len(starts)
    if not rows:
        longest = max(map(len, episodes))
        raise DataError(
            f"no episode gives a window of {length} steps (the longest has {longest}, and a window may not end with a "
            f"time-out): set a shorter length, such as {max(2, longest - 1)}"
        )
    return Segments(torch.stack(rows), torch.tensor(owner), data.frame.width, len(episodes) - len(set(owner)))


def _rows(data: OfflineData, episode: Trajectory) -> Tensor:
    done = torch.zeros(len(episode))
    done[-1] = float(episode.terminated)
    pieces = (episode.observations[:-1], data.unit(episode), episode.rewards, done)
    return TrajectoryColumns.raw(Pieces(*(part[None] for part in pieces)))[0]
