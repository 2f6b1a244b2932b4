"""The tree's arithmetic by hand, without a program."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pilothouse.programs.paths import Path
from pilothouse.programs.puct import Node, decode, fruitful, prior, puct, select


def child(parent: Node, **fields) -> Node:
    made = Node(Path(), parent, **fields)
    parent.children.append(made)
    return made


def visited(parent: Node, q: float, p: float, n: int) -> Node:
    return child(parent, prior=p, visits=n, total=q * n)


def test_puct_by_hand_and_ties_at_random():
    root = Node(Path(), visits=9)
    made = [visited(root, *figures) for figures in ((0.5, 0.2, 4), (0, 0.6, 2), (0, 0.2, 0), (-0.4, 0.9, 3))]
    assert [puct(node, root.visits, 1.25) for node in made] == pytest.approx([0.65, 0.75, 0.75, 0.44375])
    rng = np.random.default_rng(0)
    chosen = [select(root, 1.25, rng) for _ in range(200)]
    assert {made.index(node) for node in chosen if node} == {1, 2}
    assert 60 < sum(node is made[1] for node in chosen) < 140


def test_prior_is_the_geometric_mean_and_is_not_normalised():
    assert prior([math.log(0.5), math.log(0.8)]) == pytest.approx(math.sqrt(0.4))
    assert prior([math.log(0.5), math.log(0.8)]) == pytest.approx(0.63246, abs=1e-5)
    assert prior([math.nan, math.nan]) == prior([]) == 1.0


def test_backup_counts_in_every_state_to_the_root():
    root = Node(Path())
    inner = child(root)
    for value in (1.0, -1.0, 1.0):
        child(inner).back_up(value)
    assert (inner.visits, inner.q) == (3, pytest.approx(1 / 3))
    assert (root.visits, root.q) == (3, pytest.approx(1 / 3))
    root.back_up(0.0)
    assert root.visits == 4
    assert root.visits >= sum(node.visits for node in root.children)
    assert Node(Path()).q == 0.0


def test_a_tree_of_one_step_is_exhausted():
    root = Node(Path())
    for value in (1.0, -1.0):
        child(root, terminal=True, answer="x").back_up(value)
    root.back_up(0.0)
    assert (root.visits, root.q) == (3, 0.0)
    assert select(root, 1.25, np.random.default_rng(0)) is None
    assert root.terminal


def test_selection_goes_around_what_is_exhausted():
    root = Node(Path(), visits=3)
    done = visited(root, 0.9, 1.0, 2)
    child(done, terminal=True)
    alive = visited(root, -1.0, 0.1, 1)
    assert select(root, 1.25, np.random.default_rng(0)) is alive
    assert done.terminal
    assert not root.terminal


def test_decode_prunes_what_leads_to_no_answer():
    root = Node(Path())
    lure = visited(root, 0.9, 1.0, 5)
    visited(lure, 0.9, 1.0, 4)  # never ended
    good = visited(root, 0.2, 1.0, 3)
    cut = child(good, terminal=True, visits=1, total=1.0)  # ended without an answer
    answered = child(good, terminal=True, answer="7", visits=1, total=0.1)
    late = visited(good, 0.5, 1.0, 2)
    later = child(late, terminal=True, answer="8", visits=1, total=0.7)
    assert fruitful(root) == {root, good, answered, late, later}
    assert cut not in fruitful(root)
    assert decode(root, 1) is later
    answered.total = 0.8
    assert decode(root, 1) is answered
    later.total = 0.9
    assert decode(root, 2) is later  # the answer found first holds one of the two places
    assert decode(Node(Path()), 1) is None


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 3), st.integers(2, 3))
def test_on_an_enumerable_tree_q_lies_between_its_leaves_and_the_best_path_is_right(seed, depth, width):
    """Every state has the same children, leaves are right or wrong, and a state is worth the mean of its leaves."""
    rng = np.random.default_rng(seed)
    rewards = rng.choice([-1.0, 1.0], size=(width,) * depth)

    def grow(node: Node, at: tuple[int, ...]) -> None:
        for k in range(width):
            here = (*at, k)
            made = child(node, prior=1 / width, terminal=len(here) == depth, answer="x" if len(here) == depth else "")
            places[made] = here
            if made.terminal:
                made.back_up(float(rewards[here]))
        node.back_up(float(np.mean(rewards[at])))

    root = Node(Path())
    places: dict[Node, tuple[int, ...]] = {root: ()}
    backups = 0
    while (leaf := select(root, 1.25, rng)) is not None:
        grow(leaf, places[leaf])
        backups += 1 + sum(node.terminal for node in leaf.children)
    assert root.visits == backups
    for node in root.walk():
        leaves = rewards[places[node]]
        assert np.min(leaves) <= node.q <= np.max(leaves)
        assert not node.children or node.visits >= sum(below.visits for below in node.children)
    chosen = decode(root, 1)
    assert chosen is not None
    if (rewards == 1).any():
        # The whole tree is enumerated, so Q ranks states by their share of right leaves.
        assert rewards[places[chosen]] == 1
