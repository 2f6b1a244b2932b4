from __future__ import annotations

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.engines.speculative import accept, speculate

P = torch.tensor([0.5, 0.3, 0.2])
Q = torch.tensor([0.2, 0.5, 0.3])


def always(probabilities: torch.Tensor):
    return lambda tokens, count: probabilities.expand(count, -1)


def test_accept_by_hand() -> None:
    after = torch.tensor([0.0, 0.0, 1.0])
    target, draft = torch.stack([P, after]), Q[None]
    # token 1 is kept with probability 0.3 / 0.5; else the next is drawn from (0.3, 0, 0), normalised
    assert accept(target, draft, (1,), torch.tensor([0.59]))[0] == 1
    kept, rest = accept(target, draft, (1,), torch.tensor([0.61]))
    assert kept == 0
    assert rest.tolist() == [1.0, 0.0, 0.0]
    kept, following = accept(target, draft, (0,), torch.tensor([0.999]))
    assert kept == 1
    assert following.tolist() == after.tolist()


def test_a_perfect_draft_is_kept_whole() -> None:
    found = speculate(always(P), always(P), (), 50, 4, torch.Generator().manual_seed(0))
    assert found.target_calls == 10
    assert found.accepted == 40


def test_a_draft_with_nothing_in_common_costs_a_call_a_token_and_changes_nothing() -> None:
    only, rest = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.6, 0.4])
    found = speculate(always(rest), always(only), (), 4000, 3, torch.Generator().manual_seed(0))
    assert found.target_calls == 4000
    assert found.accepted == 0
    assert found.tokens.count(1) / 4000 == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("gamma", [1, 3])
def test_every_draw_is_the_targets(gamma: int) -> None:
    found = speculate(always(P), always(Q), (), 6_000, gamma, torch.Generator().manual_seed(0))
    shares = [found.tokens.count(token) / 6_000 for token in range(3)]
    assert shares == pytest.approx(P.tolist(), abs=0.03)
    assert found.accepted / (found.target_calls * gamma) == pytest.approx(0.7 if gamma == 1 else 0.51, abs=0.05)


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="gamma=0"):
        speculate(always(P), always(Q), (), 5, 0, torch.Generator())
