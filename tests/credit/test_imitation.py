"""Imitation and the path quota by hand."""

from __future__ import annotations

import pytest
import torch

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.problems import Score
from pilothouse.core.requests import StopReason
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.imitation import Imitation
from pilothouse.credit.path_quota import PathQuota

NAN = float("nan")


def episode(tokens: tuple[int, ...], reward: float, values: tuple[float, ...], ended: StopReason = StopReason.EOS):
    """Two tokens a step."""
    steps = tuple(Segment(2 * k, 2 * k + 2, "step", value) for k, value in enumerate(values))
    count = len(tokens)
    return Episode((1,), tokens, (True,) * count, (-1.0,) * count, "", ended, segments=steps, score=Score(reward))


def test_right_paths_are_imitated_and_every_step_end_has_a_target():
    made = Rollouts.from_episodes(
        [
            episode((5, 6, 7, 8, 9, 4), 1.0, (0.25, 0.5, 1.0)),
            episode((5, 6, 7, 3), 0.0, (0.25, -1.0)),
            episode((5, 6, 7, 8), 1.0, (0.25, -1.0), StopReason.LENGTH),
            episode((5, 6), NAN, (NAN,)),
        ]
    )
    credit = Imitation()
    assert credit(made).tolist() == [[1.0] * 6, [0.0] * 6, [0.0] * 6, [0.0] * 6]
    targets = credit.returns(made)
    held = ~targets.isnan()
    assert held.sum(dim=1).tolist() == [3, 2, 2, 0]  # the number of steps
    assert held.nonzero().tolist() == [[0, 1], [0, 3], [0, 5], [1, 1], [1, 3], [2, 1], [2, 3]]
    assert targets[held].tolist() == [0.25, 0.5, 1.0, 0.25, -1.0, 0.25, -1.0]
    assert credit.teaches_values() == "values_after"
    assert (0.5 * credit).teaches_values() == "values_after"


def test_what_is_not_trained_has_no_target():
    made = Rollouts.from_episodes([episode((5, 6, 7, 8), 1.0, (0.5, 1.0))])
    mask = made.train_mask.clone()
    mask[0, 3] = False
    targets = Imitation().returns(made.replace(train_mask=mask))
    assert (~targets.isnan()).nonzero().tolist() == [[0, 1]]
    assert Imitation().returns(made.replace(segment_values=torch.full((1, 4), NAN))).isnan().all()


def test_quota_by_hand():
    right = [episode((5, 10 + k), 1.0, (1.0,)) for k in range(6)]
    wrong = [episode((5, 20 + k), 0.0, (-1.0,)) for k in range(3)]
    made = Rollouts.from_episodes([*right, *right, *wrong, *wrong[:1]], [0] * 16)
    kept = PathQuota(right=4, wrong=4)(made).train_mask.any(dim=1)
    texts = [tuple(row) for row in made.tokens[kept].tolist()]
    assert len(set(texts)) == len(texts) == 4 + 3
    assert sum(text[1] < 20 for text in texts) == 4
    assert {text for text in texts if text[1] >= 20} == {(5, 20), (5, 21), (5, 22)}
    apart = Rollouts.from_episodes([*right, *right], [0] * 6 + [1] * 6)
    assert PathQuota(right=4)(apart).train_mask.any(dim=1).reshape(2, 6).sum(dim=1).tolist() == [4, 4]


@pytest.mark.parametrize(("right", "wrong", "count"), [(0, 4, 3), (2, 0, 2), (9, 9, 9)])
def test_quota_bounds_each_kind(right, wrong, count):
    made = Rollouts.from_episodes(
        [episode((5, 10 + k), float(k < 6), (1.0,)) for k in range(9)],
        [0] * 9,
    )
    assert int(PathQuota(right=right, wrong=wrong)(made).train_mask.any(dim=1).sum()) == count
