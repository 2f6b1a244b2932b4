from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.core.counter import row_key, uniform
from pilothouse.engines.sampling import draw, truncate

LOGITS = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 3.0]])


def plain(logits: torch.Tensor, uniforms: list[float], temperature: float = 1.0) -> tuple[list[int], list[float]]:
    rows = len(logits)
    tokens, logprobs = draw(
        logits,
        torch.tensor(uniforms, dtype=torch.float64),
        torch.full((rows,), temperature),
        torch.ones(rows),
        torch.zeros(rows, dtype=torch.long),
        greedy=temperature == 0,
        truncated=None,
    )
    return tokens.tolist(), logprobs.tolist()


def test_the_hash_is_splitmix64() -> None:
    # The published generator seeded with 0 begins with these words; its n-th word mixes n times the golden step.
    words = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    numbers = uniform(torch.zeros(3, dtype=torch.long), torch.tensor([1, 2, 3]))
    assert numbers.tolist() == [(word >> 11) * 2.0**-53 for word in words]


@given(st.integers(0, 2**63 - 1), st.integers(0, 1000))
def test_keys_are_signed_words_that_differ_by_index(seed: int, index: int) -> None:
    key = row_key(seed, index)
    assert -(2**63) <= key < 2**63
    assert key != row_key(seed, index + 1)
    assert key != row_key(seed ^ 1, index)


def test_numbers_are_uniform_and_uncorrelated_along_rows_and_positions() -> None:
    keys = torch.tensor([row_key(7, index) for index in range(400)])
    grid = torch.stack([uniform(keys, torch.full((400,), position)) for position in range(400)])
    count = grid.numel()
    assert 0 <= float(grid.min()) <= float(grid.max()) < 1
    assert float(grid.mean()) == pytest.approx(0.5, abs=5 * math.sqrt(1 / 12 / count))
    histogram = torch.histc(grid, 20, 0, 1)
    assert float(((histogram - count / 20) ** 2 / (count / 20)).sum()) < 50  # chi-square, 19 degrees: p < 2e-4
    for left, right in ((grid[1:], grid[:-1]), (grid[:, 1:], grid[:, :-1])):
        pair = torch.stack([left.flatten(), right.flatten()])
        assert abs(float(torch.corrcoef(pair)[0, 1])) < 5 / math.sqrt(count)


def test_a_draw_inverts_the_distribution() -> None:
    # softmax([2, 1, 0]) = [.665, .245, .090]; softmax([0, 3, 3]) = [.024, .488, .488]
    first = [math.exp(x) / (math.exp(2) + math.exp(1) + 1) for x in (2, 1, 0)]
    assert plain(LOGITS, [0.66, 0.02])[0] == [0, 0]
    assert plain(LOGITS, [0.67, 0.03])[0] == [1, 1]
    tokens, logprobs = plain(LOGITS, [0.999999, 0.999999])
    assert tokens == [2, 2]
    assert logprobs[0] == pytest.approx(math.log(first[2]), abs=1e-6)
    # At temperature 2: softmax([1, .5, 0]) = [.506, .307, .186]
    assert plain(LOGITS, [0.51, 0.5], 2.0)[0][0] == 1


def test_temperature_zero_is_greedy_with_logprobs_at_one() -> None:
    tokens, logprobs = plain(LOGITS, [0.99, 0.99], 0.0)
    assert tokens == [0, 1]
    assert logprobs[0] == pytest.approx(2 - math.log(math.exp(2) + math.exp(1) + 1), abs=1e-6)


def test_a_token_of_probability_zero_is_never_drawn() -> None:
    logits = torch.tensor([[-math.inf, 0.0, -math.inf]])
    assert plain(logits, [0.0])[0] == [1]
    assert plain(logits, [math.nextafter(1, 0)])[0] == [1]


def test_truncation_by_hand() -> None:
    weights = torch.tensor([[0.1, 0.4, 0.2, 0.3]] * 5)
    top_p = torch.tensor([1.0, 0.4, 0.41, 0.6, 1e-9])
    top_k = torch.tensor([2, 0, 0, 3, 0])
    # Row 3: top-3 keeps .4, .3, .2 of mass .9; the nucleus of .6 * .9 = .54 is .4 + .3.
    expected = [[0, 0.4, 0, 0.3], [0, 0.4, 0, 0], [0, 0.4, 0, 0.3], [0, 0.4, 0, 0.3], [0, 0.4, 0, 0]]
    assert torch.allclose(truncate(weights, top_p, top_k), torch.tensor(expected))
    untouched = truncate(weights, torch.ones(5), torch.zeros(5, dtype=torch.long))
    assert torch.equal(untouched, weights)


def test_only_the_rows_named_are_truncated_and_logprobs_are_of_the_whole_distribution() -> None:
    logits = torch.zeros(2, 4)
    tokens, logprobs = draw(
        logits,
        torch.full((2,), 0.9, dtype=torch.float64),
        torch.ones(2),
        torch.tensor([1.0, 1.0]),
        torch.tensor([0, 1]),
        greedy=False,
        truncated=torch.tensor([1]),
    )
    assert tokens.tolist() == [3, 0]
    assert logprobs.tolist() == pytest.approx([math.log(0.25)] * 2)
