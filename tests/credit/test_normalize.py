"""Golden values by hand, then the algebra that ties the normalisers together."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.errors import ConfigError
from pilothouse.credit.normalize import Running, normalize_advantage

HAND = torch.tensor([1.0, 0, 0, 0, 1, 1, 1, 0])
PAIR = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
NAN = float("nan")
MIXED = [1.403122, -0.467707, -0.467707, -0.467707, 0.467707, 0.467707, 0.467707, -1.403122]


def near(found: torch.Tensor, wanted: list[float] | torch.Tensor, atol: float = 1e-5) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted, dtype=found.dtype), atol=atol, rtol=1e-5)


@pytest.mark.parametrize(
    ("mean", "std", "wanted"),
    [
        ("group", "group", [1.5, -0.5, -0.5, -0.5, 0.5, 0.5, 0.5, -1.5]),
        ("group", "batch", MIXED),
        ("group", "none", [0.75, -0.25, -0.25, -0.25, 0.25, 0.25, 0.25, -0.75]),
        ("batch", "batch", [0.935414, -0.935414, -0.935414, -0.935414, 0.935414, 0.935414, 0.935414, -0.935414]),
        ("loo", "none", [1.0, -1 / 3, -1 / 3, -1 / 3, 1 / 3, 1 / 3, 1 / 3, -1.0]),
        ("none", "none", [1.0, 0, 0, 0, 1, 1, 1, 0]),
        ("none", "batch", [1.870829, 0, 0, 0, 1.870829, 1.870829, 1.870829, 0]),
    ],
)
def test_by_hand(mean, std, wanted):
    near(normalize_advantage(HAND, PAIR, mean=mean, std=std, eps=0.0), wanted)


def test_ddof_0_is_the_population_std():
    found = normalize_advantage(torch.tensor([1.0, 0, 0, 0]), torch.zeros(4, dtype=torch.long), eps=0.0, ddof=0)
    near(found, [3**0.5, -(3**-0.5), -(3**-0.5), -(3**-0.5)])


def test_eps_is_added_to_the_std():
    near(
        normalize_advantage(torch.tensor([1.0, 0.0]), torch.tensor([4, 4]), eps=0.5),
        [0.5 / (0.5**0.5 + 0.5)] * 1 + [-0.5 / (0.5**0.5 + 0.5)],
    )


def test_mixed_with_one_group_is_group_and_with_equal_means_is_batch():
    one = torch.zeros(8, dtype=torch.long)
    near(normalize_advantage(HAND, one, std="batch"), normalize_advantage(HAND, one, std="group"))
    equal = torch.tensor([1.0, 0, 0, 1, 0.5, 0.5, 1, 0])
    near(normalize_advantage(equal, PAIR, std="batch"), normalize_advantage(equal, PAIR, mean="batch", std="batch"))


def test_ragged_groups_in_any_order_with_any_labels():
    rewards = torch.tensor([1.0, 5.0, 0.0, 2.0, 1.0])
    groups = torch.tensor([-7, 40, -7, 40, -7])
    near(normalize_advantage(rewards, groups, std="none"), [1 / 3, 1.5, -2 / 3, -1.5, 1 / 3])


@pytest.mark.parametrize("mean", ["group", "batch", "loo", "running"])
@pytest.mark.parametrize("std", ["group", "batch", "none", "running"])
def test_equal_rewards_give_exactly_zero(mean, std):
    rewards, running = torch.full((9,), 0.1, dtype=torch.float64), Running()  # 0.1 * 7 / 7 is not 0.1
    running.update(rewards)
    groups = torch.tensor([0] * 7 + [1, 1])
    found = normalize_advantage(rewards, groups, mean=mean, std=std, eps=0.0, running=running)
    assert not found.any()


def test_a_group_of_one_gives_zero():
    rewards, groups = torch.tensor([3.0, 1.0, 0.0]), torch.tensor([0, 1, 1])
    for mean, std in [("group", "group"), ("group", "none"), ("loo", "none"), ("none", "group"), ("batch", "group")]:
        assert normalize_advantage(rewards, groups, mean=mean, std=std)[0] == 0.0


def test_noise_in_one_group_is_amplified_by_its_own_std_only():
    rewards, groups = torch.tensor([1, 1, 1, 1.001, 1, 0, 1, 0]), PAIR
    own = normalize_advantage(rewards, groups, eps=0.0).square()
    near(torch.stack([own[:4].sum(), own[4:].sum()]), [3.0, 3.0], atol=1e-3)
    mixed = normalize_advantage(rewards, groups, std="batch").square()
    assert mixed[:4].sum() / mixed.sum() < 1e-5


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(-8, 8), min_size=8, max_size=8),
    st.floats(0.25, 8),
    st.floats(-4, 4),
    st.sampled_from([("group", "group"), ("batch", "batch"), ("group", "batch"), ("loo", "batch")]),
)
def test_affine_rewards_change_nothing_where_a_std_divides(values, scale, shift, switches):
    rewards, (mean, std) = torch.tensor(values, dtype=torch.float64), switches
    before = normalize_advantage(rewards, PAIR, mean=mean, std=std, eps=0.0)
    after = normalize_advantage(scale * rewards + shift, PAIR, mean=mean, std=std, eps=0.0)
    near(after, before)
    plain = normalize_advantage(rewards, PAIR, std="none")
    near(normalize_advantage(scale * rewards + shift, PAIR, std="none"), scale * plain)


def test_rewards_that_are_not_finite_are_left_out():
    rewards, groups = torch.tensor([1.0, NAN, 0.0, float("inf"), NAN]), torch.tensor([0, 0, 0, 0, 1])
    near(normalize_advantage(rewards, groups, eps=0.0), [0.5 / 0.5**0.5, 0, -0.5 / 0.5**0.5, 0, 0])
    near(normalize_advantage(rewards, groups, mean="loo", std="none"), [1.0, 0, -1.0, 0, 0])


def test_an_uncounted_reward_is_compared_with_the_counted_ones():
    rewards, groups = torch.tensor([1.0, 0.0, 6.0]), torch.zeros(3, dtype=torch.long)
    counted = torch.tensor([True, True, False])
    near(normalize_advantage(rewards, groups, std="none", stats_mask=counted), [0.5, -0.5, 5.5])
    near(normalize_advantage(rewards, groups, mean="loo", std="none", stats_mask=counted), [1.0, -1.0, 5.5])
    nobody = torch.zeros(3, dtype=torch.bool)
    for mean in ("group", "loo", "batch"):
        near(normalize_advantage(rewards, groups, mean=mean, std="none", stats_mask=nobody), [0.0, 0, 0])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.floats(-5, 5), min_size=0, max_size=6), min_size=1, max_size=5))
def test_running_statistics_are_those_of_everything_seen(batches):
    running, seen = Running(), [value for batch in batches for value in batch]
    for batch in batches:
        running.update(torch.tensor(batch, dtype=torch.float64))
    everything = torch.tensor(seen, dtype=torch.float64)
    assert running.count == len(seen)
    if seen:
        assert running.mean == pytest.approx(float(everything.mean()), abs=1e-9)
    if len(seen) > 1:
        assert running.std() == pytest.approx(float(everything.std()), abs=1e-7)


def test_running_switches_read_the_state_and_need_it():
    running = Running()
    running.update(torch.tensor([0.0, 2.0]))
    found = normalize_advantage(
        torch.tensor([3.0]), torch.tensor([0]), mean="running", std="running", eps=0.0, running=running
    )
    near(found, [2.0 / 2.0**0.5])
    assert running.count == 2
    with pytest.raises(ConfigError, match="running=Running"):
        normalize_advantage(torch.tensor([3.0]), torch.tensor([0]), mean="running")
