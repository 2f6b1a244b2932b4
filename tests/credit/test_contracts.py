"""Laws that every credit and every selector of the catalogue keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit, Select

VERDICTS = ("budget-reward", "hierarchical")  # read rewards as right or wrong; those here are at most 0.3
CREDITS: list[Any] = [name for name in Credit.catalogue.classes() if name not in ("sum", *VERDICTS)]
CREDITS += [{"name": name, "correct_at": 0.15} for name in VERDICTS]
CREDITS += [{"name": "normalized", "mean": m, "std": s} for m in ("batch", "none", "loo") for s in ("group", "none")]
CREDITS += [{"name": "normalized", "mean": "running", "std": "running"}, {"name": "gae", "whiten": False, "gamma": 0.9}]
CREDITS += [{"name": "reinforce-pp", "kl_coef": 0.1, "gamma": 0.95}, "0.5*grpo + 0.25*gae"]
#: Its bundles pair responses of unlike prompts by their place in the batch.
PAIRED = ("riskpo",)
SELECTORS: list[Any] = [name for name in Select.catalogue.classes() if name != "chain"]
SELECTORS += ["overlong + zero-variance", {"name": "overlong", "exclude_from_stats": True}]


def label(spec: Any) -> str:
    return spec if isinstance(spec, str) else "-".join(str(value) for value in spec.values())


@pytest.fixture
def rollouts(make) -> Rollouts:
    """Ragged groups in no order: failed verifiers, tool text, truncation, silenced tokens, NaN off the mask."""
    draw = torch.Generator().manual_seed(0)
    count, width = 24, 11
    lengths = torch.randint(1, width + 1, (count,), generator=draw)
    inside = torch.arange(width) < lengths[:, None]
    actions = inside & (torch.rand(count, width, generator=draw) < 0.8)
    groups = torch.randint(0, 6, (count,), generator=draw) * 10 - 20
    rewards = torch.randint(0, 4, (count,), generator=draw) / 10
    rewards[groups == 0] = 0.1
    rewards[[2, 9]] = float("nan")
    made = make(rewards.tolist(), groups.tolist(), actions.long().tolist(), lengths=lengths)
    fields = {
        name: torch.where(actions, -torch.rand(count, width, generator=draw), torch.nan)
        for name in ("old_logprobs", "ref_logprobs", "values", "entropies")
    }
    episodes, segments = tree_of(lengths.tolist(), groups.tolist(), width)
    silenced = made.train_mask & (torch.rand(count, width, generator=draw) < 0.9)
    truncated = torch.rand(count, generator=draw) < 0.3
    fields["prompt_logprobs"] = ((),) * count
    return made.replace(truncated=truncated, train_mask=silenced, episodes=episodes, segments=segments, **fields)


def tree_of(lengths: list[int], groups: list[int], width: int) -> tuple[tuple[Episode, ...], torch.Tensor]:
    """Episodes whose segments of three tokens are labelled as nodes: three branches of the prompt, then one each."""
    episodes: list[Episode] = []
    for row, size in enumerate(lengths):
        starts = range(0, size, 3)
        ids = [str(row % 3), *(f"{row}" for _ in starts[1:])] if size > 3 else [f"alone-{row}"]
        steps = tuple(Segment(start, min(start + 3, size), ".".join(ids[: at + 1])) for at, start in enumerate(starts))
        blank = (0,) * size
        episodes.append(
            Episode((1,), blank, (True,) * size, (0.0,) * size, segments=steps, problem_id=str(groups[row]))
        )
    segments = torch.arange(width).div(3, rounding_mode="floor").expand(len(lengths), width)
    return tuple(episodes), segments.where(torch.arange(width) < torch.tensor(lengths)[:, None], -1)


@pytest.mark.parametrize("spec", CREDITS, ids=label)
def test_weights_are_finite_and_zero_where_nothing_trains(spec, rollouts):
    weights = Credit.build(spec)(rollouts)
    assert weights.shape == rollouts.tokens.shape
    assert weights.isfinite().all()
    assert weights.any()
    assert not weights[~rollouts.train_mask].any()


@pytest.mark.parametrize("spec", CREDITS, ids=label)
def test_an_episode_whose_verifier_failed_has_no_weight(spec, rollouts):
    weights = Credit.build(spec)(rollouts.replace(train_mask=rollouts.action_mask))
    assert weights.isfinite().all()
    assert not weights[rollouts.rewards.isnan()].any()


@pytest.mark.parametrize("spec", [spec for spec in CREDITS if spec not in PAIRED], ids=label)
def test_the_order_of_episodes_does_not_matter(spec, rollouts):
    order = torch.randperm(len(rollouts), generator=torch.Generator().manual_seed(1))
    width = int(rollouts.lengths.max())
    before, after = Credit.build(spec)(rollouts)[order], Credit.build(spec)(rollouts.take(order))
    torch.testing.assert_close(after, before[:, :width], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("spec", CREDITS, ids=label)
def test_the_rollouts_are_left_as_they_were(spec, rollouts):
    before = {name: value.clone() for name, value in vars(rollouts).items() if isinstance(value, torch.Tensor)}
    Credit.build(spec)(rollouts)
    for name, value in before.items():
        torch.testing.assert_close(getattr(rollouts, name), value, equal_nan=True)


@pytest.mark.parametrize("spec", [spec for spec in CREDITS if Credit.build(spec).compares_within_groups()], ids=label)
def test_a_group_relative_credit_gives_exactly_zero_without_variance(spec, rollouts):
    even = rollouts.replace(
        rewards=torch.full_like(rollouts.rewards, 0.1), lengths=torch.full_like(rollouts.lengths, 11)
    )
    assert not Credit.build(spec)(even).any()


@pytest.mark.parametrize("spec", [*CREDITS, *SELECTORS], ids=label)
def test_a_part_survives_being_written_down(spec):
    room = Select if spec in SELECTORS else Credit
    part = room.build(spec)
    assert room.build(part.model_dump(mode="json")) == part


@pytest.mark.parametrize("spec", SELECTORS, ids=label)
def test_selectors_only_shrink_the_masks(spec, rollouts):
    after = Select.build(spec)(rollouts)
    assert not (after.train_mask & ~rollouts.train_mask).any()
    assert not (after.stats_mask & ~rollouts.stats_mask).any()
    again = Select.build(spec)(after)
    torch.testing.assert_close(again.train_mask, after.train_mask)


@pytest.mark.parametrize("spec", SELECTORS, ids=label)
def test_selectors_do_not_mind_the_order_of_episodes(spec, rollouts):
    order = torch.randperm(len(rollouts), generator=torch.Generator().manual_seed(1))
    width = int(rollouts.lengths.max())
    after = Select.build(spec)(rollouts.take(order))
    torch.testing.assert_close(after.train_mask, Select.build(spec)(rollouts).train_mask[order][:, :width])


@pytest.mark.parametrize("spec", SELECTORS, ids=label)
def test_only_a_selector_that_says_so_silences_whole_groups(spec, rollouts):
    dead = rollouts.replace(rewards=torch.zeros_like(rollouts.rewards), truncated=torch.zeros_like(rollouts.truncated))
    part = Select.build(spec)
    assert part.may_drop_groups() is not bool(part(dead).train_mask.any())
