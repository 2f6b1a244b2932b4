"""Length buckets hold every row once and stay within their budget."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.policies.packing import length_buckets


def test_rows_of_like_length_share_a_bucket() -> None:
    buckets = length_buckets(torch.tensor([3, 9, 4, 2]), 9)
    assert [bucket.tolist() for bucket in buckets] == [[1], [2, 0], [3]]


def test_padding_beyond_the_limit_begins_a_bucket() -> None:
    buckets = length_buckets(torch.tensor([9, 2, 8, 2]), 100, 7)
    assert [bucket.tolist() for bucket in buckets] == [[0, 2], [1, 3]]
    assert [bucket.tolist() for bucket in length_buckets(torch.tensor([9, 2, 8, 2]), 100, 8)] == [[0, 2, 1], [3]]


@given(st.lists(st.integers(1, 50), max_size=40), st.integers(1, 120))
def test_every_row_once_within_the_budget(lengths: list[int], limit: int) -> None:
    buckets = length_buckets(torch.tensor(lengths, dtype=torch.long), limit)
    assert sorted(i for bucket in buckets for i in bucket.tolist()) == list(range(len(lengths)))
    for bucket in buckets:
        longest = max(lengths[i] for i in bucket.tolist())
        assert len(bucket) == 1 or longest * len(bucket) <= limit
