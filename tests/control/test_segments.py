"""Windows of episodes, their columns and what becomes of samples, against values worked by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from pilothouse.control.columns import Pieces, TrajectoryColumns
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.segments import segment_dataset, window_starts
from pilothouse.core.errors import DataError


def test_windows_of_an_episode_of_forty_steps(recorded: Callable[..., OfflineData]) -> None:
    assert window_starts(40, 32, 8, terminated=False) == [0], "start 8 would end with the time-out"
    assert window_starts(40, 32, 8, terminated=True) == [0, 8]
    found = segment_dataset(recorded((40,), terminated=True), 32, 8)
    assert found.rows[:, :, -1].sum() == 1.0
    assert found.rows[1, -1, -1] == 1.0, "the end is in the last row of window 8 and nowhere else"
    assert len(segment_dataset(recorded((40,)), 32, 8)) == 1
    assert segment_dataset(recorded((40,)), 32, 8).rows[..., -1].sum() == 0


def test_windows_do_not_cross_episodes_and_end_with_the_end() -> None:
    assert window_starts(45, 32, 8, terminated=True) == [0, 8, 13]
    assert window_starts(45, 32, 8, terminated=False) == [0, 8]
    assert window_starts(31, 32, 8, terminated=True) == []
    assert window_starts(32, 32, 8, terminated=True) == [0]
    assert window_starts(32, 32, 8, terminated=False) == []


def test_short_episodes_are_counted_and_refused_if_there_is_nothing_else(recorded: Callable[..., OfflineData]) -> None:
    found = segment_dataset(recorded((12, 40, 5)), 10, 5)
    assert found.short == 1
    assert set(found.episode.tolist()) == {0, 1}
    with pytest.raises(DataError, match=r"no episode gives a window of 32 steps \(the longest has 12"):
        segment_dataset(recorded((12, 5)), 32, 8)


def test_columns_there_and_back(recorded: Callable[..., OfflineData]) -> None:
    data = recorded()
    rows = segment_dataset(data, 8, 4).rows
    columns = TrajectoryColumns.of(rows, 1)
    x = columns.normalizer(rows)
    assert columns.width == 5
    assert columns.action_columns == slice(2, 3)
    flat = x.flatten(0, 1)
    for index in (0, 2, 3):
        assert float(flat[:, index].mean()) == pytest.approx(0.0, abs=1e-4)
        assert float(flat[:, index].std(correction=0)) == pytest.approx(1.0, abs=1e-4)
    assert torch.equal(flat[:, 1], torch.zeros(len(flat))), "a constant column is moved to 0 and not stretched"
    pieces = columns.read(x)
    first = data.episodes.trajectories[0]
    assert torch.allclose(pieces.states[0], first.observations[:8], atol=1e-5)
    assert torch.allclose(pieces.actions[0], (first.actions[:8] / 2).clamp(-0.999, 0.999), atol=1e-4)
    assert torch.allclose(pieces.rewards[0], first.rewards[:8], atol=1e-5)


def test_full_actions_stay_finite() -> None:
    ones = torch.ones(1, 2, 1)
    raw = TrajectoryColumns.raw(Pieces(torch.zeros(1, 2, 1), ones, torch.zeros(1, 2), torch.zeros(1, 2)))
    assert float(raw[0, 0, 1]) == pytest.approx(math.atanh(0.999), rel=1e-4)


def test_samples_become_transitions() -> None:
    states = torch.arange(8.0).view(2, 4, 1)
    done = torch.tensor([[0.49, 0.51, 0.0, 1.0], [0.0, 0.0, 0.6, 0.0]])
    pieces = Pieces(states, torch.zeros(2, 4, 1), torch.arange(8.0).view(2, 4), done)
    made = pieces.transitions()
    assert len(made) == 2 * 3
    assert made.state[:, 0].tolist() == [0, 1, 2, 4, 5, 6]
    assert made.following[:, 0].tolist() == [1, 2, 3, 5, 6, 7]
    assert made.reward.tolist() == [0, 1, 2, 4, 5, 6]
    assert made.done.tolist() == [0, 1, 0, 0, 0, 1]


def test_actions_are_rescaled_by_the_limits_of_their_space(recorded: Callable[..., OfflineData]) -> None:
    data = recorded()
    raw = data.episodes.trajectories[0].actions
    assert torch.allclose(data.transitions.action[:40], raw / 2)
    uneven = OfflineData(data.episodes, torch.tensor([-2.0]), torch.tensor([6.0]))
    assert torch.allclose(uneven.transitions.action[:40], (raw - 2) / 4)
    assert torch.allclose(uneven.frame.actions.undo(uneven.transitions.action[:40]), raw, atol=1e-6)


def test_data_that_do_not_fit_are_refused(recorded: Callable[..., OfflineData]) -> None:
    data = recorded()
    one = torch.ones(1)
    with pytest.raises(DataError, match="beyond the action limits"):
        OfflineData(data.episodes, -one, one)
    with pytest.raises(DataError, match="have 2 numbers, the recorded actions 1"):
        OfflineData(data.episodes, -torch.ones(2), torch.ones(2))
    for low, high in ((-one * math.inf, one * math.inf), (one, one)):
        with pytest.raises(DataError, match="finite limits"):
            OfflineData(data.episodes, low, high)
    whole = replace(data.episodes.trajectories[0], actions=torch.zeros(40, 1, dtype=torch.long))
    episodes = replace(data.episodes, trajectories=(whole,))
    with pytest.raises(DataError, match="embed discrete actions"):
        OfflineData(episodes, -2 * one, 2 * one)


def test_only_real_ends_are_done(recorded: Callable[..., OfflineData]) -> None:
    assert recorded((5, 7)).transitions.done.sum() == 0
    ended = recorded((5, 7), terminated=True).transitions
    assert ended.done.nonzero().flatten().tolist() == [4, 11]
    assert len(ended) == 12
