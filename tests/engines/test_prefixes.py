from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from pilothouse.engines.prefixes import PrefixStore, common_length

Sequences = st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=12).map(tuple), max_size=30)


class Kept:
    """A store with the contents its slots would have."""

    def __init__(self, budget: int) -> None:
        self.store, self.slots = PrefixStore(budget), dict[int, tuple[int, ...]]()

    def insert(self, tokens: tuple[int, ...]) -> None:
        start, slots = self.store.insert(tokens)
        for position, slot in enumerate(slots, start):
            self.slots[slot] = tokens[: position + 1]

    def match(self, tokens: tuple[int, ...]) -> int:
        slots = self.store.match(tokens)
        assert [self.slots[slot] for slot in slots] == [tokens[: i + 1] for i in range(len(slots))]
        return len(slots)


def test_common_length() -> None:
    assert common_length((), (1,)) == 0
    assert common_length((1, 2), (1, 2, 3)) == 2
    assert common_length((1, 2, 4), (1, 2, 3)) == 2


def test_what_sequences_share_is_kept_once() -> None:
    kept = Kept(100)
    kept.insert((1, 2, 3, 4))
    kept.insert((1, 2, 5))
    kept.insert((1, 2, 3))
    assert len(kept.store) == 5
    assert [kept.match(t) for t in ((1, 2, 3, 4, 9), (1, 2, 5), (1, 2), (1, 7), (3,), ())] == [4, 3, 2, 1, 0, 0]


@given(Sequences, Sequences)
def test_with_room_for_all_the_longest_prefix_is_found(inserted: list[tuple[int, ...]], asked: list[tuple]) -> None:
    kept = Kept(1000)
    for tokens in inserted:
        kept.insert(tokens)
    prefixes = {tokens[:i] for tokens in inserted for i in range(1, len(tokens) + 1)}
    assert len(kept.store) == len(prefixes)
    for tokens in asked:
        assert kept.match(tokens) == max((i for i in range(1, len(tokens) + 1) if tokens[:i] in prefixes), default=0)


@given(Sequences, st.integers(0, 25), st.randoms(use_true_random=False))
def test_within_a_budget_every_answer_is_right(
    sequences: list[tuple[int, ...]], budget: int, rng: random.Random
) -> None:
    kept = Kept(budget)
    for tokens in sequences:
        kept.insert(tokens)
        assert len(kept.store) <= budget
        assert kept.match(tokens) >= min(len(tokens), budget)
        kept.match(rng.choice(sequences))


def test_the_least_recently_used_goes_first() -> None:
    kept = Kept(16)
    kept.insert((1,) * 8)
    kept.insert((2,) * 8)
    kept.match((1,) * 8)
    kept.insert((3,) * 6)
    assert kept.match((2,) * 8) == 0
    assert kept.match((1,) * 8) == 8
    kept.store.clear()
    assert len(kept.store) == 0
    assert kept.match((1,) * 8) == 0
