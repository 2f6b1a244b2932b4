"""Credit over a tree of responses: golden values by hand, then what relabelling, balance and sharing mean."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.core.episodes import Episode, Segment
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import validated
from pilothouse.core.problems import Score
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Credit
from pilothouse.credit.deduplicated import Deduplicated
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.normalized import Normalized
from pilothouse.credit.tree_segment import TreeSegment
from pilothouse.credit.tree_subgroup import TreeSubgroup
from pilothouse.training.recipe import PolicyGradient

NAN = float("nan")
PAIRS, REWARDS = ["X.A", "X.B", "Y.C", "Y.D"], [1.0, 0.0, 1.0, 1.0]
DEEP = [".".join(ids) for ids in itertools.product("01", repeat=3)]
DEEP_REWARDS = [1.0, 0, 0, 0, 1, 1, 1, 0]


def grown(
    nodes: Sequence[str], rewards: Sequence[float], groups: Sequence[int] | None = None, size: int = 1
) -> Rollouts:
    """Episodes of ``size`` tokens a segment; the node "X.A" has the segments "X" and "X.A"."""
    episodes: list[Episode] = []
    for node, reward in zip(nodes, rewards, strict=True):
        ids = node.split(".")
        steps = tuple(Segment(size * i, size * (i + 1), ".".join(ids[: i + 1])) for i in range(len(ids)))
        count = size * len(ids)
        score = Score(reward) if reward == reward else Score.failed("broke")
        episodes.append(
            Episode((1,), (0,) * count, (True,) * count, (-1.0,) * count, segments=steps, problem_id="q", score=score)
        )
    return Rollouts.from_episodes(episodes, groups)


def near(found: torch.Tensor, wanted: Any) -> None:
    torch.testing.assert_close(found, torch.as_tensor(wanted), atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("nodes", "rewards", "average", "sized"),
    [
        (PAIRS, REWARDS, [0.375, -0.625, 0.125, 0.125], [0.3333, -0.6667, 0.1667, 0.1667]),
        (
            DEEP,
            DEEP_REWARDS,
            [0.5833, -0.4167, -0.25, -0.25, 0.25, 0.25, 0.4167, -0.5833],
            [0.5714, -0.4286, -0.3571, -0.3571, 0.3571, 0.3571, 0.4286, -0.5714],
        ),
    ],
)
def test_subgroups_by_hand(nodes, rewards, average, sized):
    rollouts = grown(nodes, rewards)
    near(TreeSubgroup(scale="none").advantages(rollouts), average)
    near(TreeSubgroup(weighting="group-size").advantages(rollouts), sized)
    weights = TreeSubgroup(scale="none")(rollouts)
    assert (weights == weights[:, :1]).all(), "every token of a response weighs the same"


def test_whitened_by_hand():
    rollouts = grown(PAIRS, REWARDS).replace(train_mask=torch.tensor([[True, False]] * 4))
    near(TreeSubgroup()(rollouts)[:, 0], [0.8660, -1.4434, 0.2887, 0.2887])
    near(TreeSubgroup(scale="std")(rollouts)[:, 0], [0.8660, -1.4434, 0.2887, 0.2887])


def test_whitening_takes_the_token_mean_off_and_std_does_not():
    rollouts = grown(["X.A.P", "X.B", "Y", "Z"], REWARDS)
    raw, white, std = (TreeSubgroup(scale=s)(rollouts) for s in ("none", "whiten", "std"))
    live = rollouts.train_mask
    assert float(white[live].mean()) == pytest.approx(0, abs=1e-6)
    assert float(white[live].std()) == pytest.approx(1, abs=1e-5)
    near(std[live], raw[live] / raw[live].std())
    assert abs(float(std[live].mean())) > 0.01


def test_without_the_root_only_shared_beginnings_compare():
    rollouts = grown([*PAIRS, "Z"], [*REWARDS, 0.0])
    near(TreeSubgroup(include_root=False).advantages(rollouts), [0.5, -0.5, 0.0, 0.0, 0.0])


def test_flat_subgroups_can_be_left_out():
    rollouts = grown(PAIRS, REWARDS)
    near(TreeSubgroup(reject_flat=True).advantages(rollouts), [0.375, -0.625, 0.25, 0.25])


def test_without_sharing_it_is_the_group_mean_baseline():
    rollouts = grown(["0.0", "1.0", "2", "3.0.0"], [0.3, 0.9, 0.1, 0.4])
    near(TreeSubgroup(scale="none")(rollouts), DrGRPO()(rollouts))
    near(TreeSubgroup(scale="none", weighting="group-size")(rollouts), DrGRPO()(rollouts))


def test_groups_do_not_mix_though_their_labels_are_the_same():
    both = grown([*PAIRS, *PAIRS], [*REWARDS, 0.0, 0.0, 0.0, 1.0], [0, 0, 0, 0, 7, 7, 7, 7])
    near(TreeSubgroup().advantages(both)[:4], TreeSubgroup().advantages(grown(PAIRS, REWARDS)))


@pytest.mark.parametrize("credit", [TreeSubgroup(), TreeSubgroup(weighting="group-size"), TreeSegment()])
def test_names_of_nodes_do_not_matter(credit):
    renamed = [node.translate(str.maketrans("01", "97")) for node in DEEP]
    torch.testing.assert_close(credit(grown(renamed, DEEP_REWARDS)), credit(grown(DEEP, DEEP_REWARDS)))


@pytest.mark.parametrize(
    "credit", [TreeSubgroup(), TreeSubgroup(scale="none"), TreeSegment(), TreeSegment(scale="std")]
)
def test_the_same_reward_everywhere_teaches_nothing(credit):
    assert not credit(grown(["0.0.0", "0.0.1", "0.1", "1", "2.0"], [0.1] * 5)).any()


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-2, 2, width=32), min_size=8, max_size=8))
def test_a_balanced_tree_sums_to_zero(rewards):
    for weighting in ("average", "group-size"):
        assert float(TreeSubgroup(weighting=weighting).advantages(grown(DEEP, rewards)).sum()) == pytest.approx(
            0, abs=1e-5
        )


def test_failed_verdicts_count_nowhere():
    found = TreeSubgroup().advantages(grown(["X.A", "X.B", "X.E", "Y.C", "Y.D"], [1.0, 0.0, NAN, 1.0, 1.0]))
    near(found, [0.375, -0.625, 0.0, 0.125, 0.125])
    worth = TreeSegment(scale="none")(grown(["X.A", "X.B", "X.E", "Y.C", "Y.D"], [1.0, 0.0, NAN, 1.0, 1.0]))
    near(worth, [[-0.25, 0.5], [-0.25, -0.5], [0.0, 0.0], [0.25, 0.0], [0.25, 0.0]])
    assert not TreeSubgroup()(grown(["X", "Y"], [NAN, 1.0])).isnan().any()


def test_segments_by_hand():
    # V(X) = 0.5, V(Y) = 1, V(root) = 0.75: the mean over children, not over responses
    wanted = [[-0.25, 0.5], [-0.25, -0.5], [0.25, 0.0], [0.25, 0.0]]
    near(TreeSegment(scale="none")(grown(PAIRS, REWARDS)), wanted)
    near(TreeSegment(scale="none")(grown(PAIRS, REWARDS, size=2)), [[a, a, b, b] for a, b in wanted])
    uneven = TreeSegment(scale="none")(grown(["X.A", "X.B", "X.C", "Y"], [1.0, 1.0, 1.0, 0.0]))
    near(uneven, [[0.5, 0.0]] * 3 + [[-0.5, 0.0]])


def test_damping_fades_the_parent_out_with_depth():
    rollouts = grown(PAIRS, REWARDS)
    near(TreeSegment(scale="none", damping=0.5)(rollouts)[:2], [[-0.25, 0.75], [-0.25, -0.25]])


def test_gains_along_a_path_add_up_to_reward_minus_worth_of_the_prompt():
    found = TreeSegment(scale="none")(grown(DEEP, DEEP_REWARDS))
    near(found.sum(dim=1), torch.tensor(DEEP_REWARDS) - 0.5)


def test_deduplicated_tokens_weigh_once():
    raw = Normalized(mean="none", std="none")
    found = Deduplicated(of=raw)(grown(["X.A", "X.B", "Y"], [1.0, 0.5, 0.0]))
    # five tokens, four of them distinct: the mean over all is the mean over X, A, B and Y
    near(found, [[0.625, 1.25], [0.3125, 0.625], [0.0, 0.0]])
    assert float(found.sum() / 5) == pytest.approx((0.75 + 1.0 + 0.5 + 0.0) / 4)
    plain = grown(["0", "1", "2"], [1.0, 0.0, 0.0])
    torch.testing.assert_close(Deduplicated(of=GRPO())(plain), GRPO()(plain))


def test_deduplication_counts_trained_responses_only():
    rollouts = grown(["X.A", "X.B"], [1.0, 0.0]).replace(train_mask=torch.tensor([[True, True], [False, False]]))
    near(Deduplicated(of=Normalized(mean="none", std="none"))(rollouts), [[1.0, 1.0], [0.0, 0.0]])


TREE_CREDITS = [
    "tree-subgroup",
    "tree-segment",
    "0.5*tree-subgroup + 0.5*grpo",
    {"name": "deduplicated"},
    {"name": "soft-overlong", "of": "tree-segment"},
]


@pytest.mark.parametrize("spec", TREE_CREDITS, ids=str)
def test_a_program_without_a_tree_is_refused_when_the_configuration_is_read(spec):
    with pytest.raises(
        ConfigError, match=r"reads the tree of responses .* program 'group' does not make: use --program"
    ):
        validated(PolicyGradient, {"credit": spec}, "the recipe")
    assert validated(PolicyGradient, {"credit": spec, "program": "treepo"}, "the recipe").program.name == "treepo"


def test_other_credits_take_a_tree_too():
    assert validated(PolicyGradient, {"credit": "grpo", "program": "treepo"}, "the recipe").credit == GRPO()
    with pytest.raises(ConfigError, match="group size of 1"):
        validated(
            PolicyGradient,
            {"credit": "tree-subgroup", "program": {"name": "treepo", "width": 1, "init_branch": 1}},
            "x",
        )


@pytest.mark.parametrize("name", ["tree-subgroup", "tree-segment", "deduplicated"])
def test_responses_without_nodes_are_refused(name, make):
    with pytest.raises(ConfigError, match=f"'{name}' reads the tree"):
        Credit.build(name)(make([1.0, 0.0]))
