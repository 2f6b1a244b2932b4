"""The value head's settings: squash, dropout by address, saving, and the values after tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pilothouse.core.errors import ConfigError
from pilothouse.policies.causal_lm import VALUE_FILE, CausalPolicy
from pilothouse.policies.heads import HeadSettings, ValueHead
from pilothouse.policies.tiny import tiny_policy

TANH = HeadSettings(squash="tanh", dropout=0.1)
PROMPTS = [(3, 4, 5), (6, 7)]
TOKENS = torch.tensor([[8, 9, 10], [11, 12, 13]])
MASK = torch.tensor([[True, True, True], [True, False, True]])


def policy(settings: HeadSettings | bool = TANH) -> CausalPolicy:
    made = tiny_policy("0123456789+=\n.", 0, "nano", value_head=settings)
    assert made.value_head is not None
    torch.nn.init.normal_(made.value_head.weight, std=0.3, generator=torch.Generator().manual_seed(0))
    return made


def test_tanh_keeps_values_within_one():
    hidden = torch.tensor([[1.0, 2.0], [30.0, 40.0]])
    head = ValueHead(2, HeadSettings(squash="tanh"))
    assert head(hidden).tolist() == [0.0, 0.0]
    with torch.no_grad():
        head.weight.copy_(torch.tensor([0.5, -0.1]))
        head.bias.fill_(0.2)
    torch.testing.assert_close(head(hidden), torch.tensor([0.5, 11.2]).tanh())
    plain = ValueHead(2)
    plain.load_state_dict(head.state_dict())
    torch.testing.assert_close(plain(hidden), torch.tensor([0.5, 11.2]))


def test_dropout_is_drawn_by_address_and_scales_what_is_left():
    head = ValueHead(1000, HeadSettings(dropout=0.1))
    with torch.no_grad():
        head.weight.fill_(1.0)
    hidden, keys = torch.ones(3, 1000), torch.tensor([5, 6, 5])
    values = head(hidden, keys)
    assert values[0] == values[2] != values[1]
    torch.testing.assert_close(head(hidden[1:], keys[1:]), values[1:])  # whatever the batch
    kept = values * 0.9
    torch.testing.assert_close(kept, kept.round(), atol=1e-2, rtol=0)
    assert all(850 < count < 950 for count in kept.tolist())
    assert head(hidden).tolist() == [1000.0] * 3  # without keys, nothing is dropped
    assert ValueHead(1000)(hidden, keys).tolist() == [0.0] * 3


def test_values_after_a_token_are_those_of_the_prefix_that_ends_with_it():
    made = policy()
    found = made.token_scores(PROMPTS, TOKENS, MASK, values=True, values_after=True, entropy=True)
    plain = made.token_scores(PROMPTS, TOKENS, MASK, values=True, entropy=True)
    torch.testing.assert_close(found.logprobs, plain.logprobs)
    torch.testing.assert_close(found.values, plain.values)
    torch.testing.assert_close(found.entropy, plain.entropy)
    assert found.values_after is not None
    states = [(*PROMPTS[row], *TOKENS[row, : column + 1].tolist()) for row, column in MASK.nonzero().tolist()]
    torch.testing.assert_close(found.values_after[MASK], torch.tensor(made.value_of_prefixes(states)))
    assert not found.values_after[~MASK].any()
    alone = made.token_scores(PROMPTS, TOKENS, MASK, values_after=True)
    assert alone.values is None
    torch.testing.assert_close(alone.values_after, found.values_after)
    keys = torch.arange(8).reshape(2, 4)
    dropped = made.token_scores(PROMPTS, TOKENS, MASK, values_after=True, dropout=keys)
    assert dropped.values_after is not None
    assert not torch.equal(dropped.values_after, found.values_after)
    second = made.token_scores(PROMPTS[1:], TOKENS[1:], MASK[1:], values_after=True, dropout=keys[1:])
    assert second.values_after is not None
    torch.testing.assert_close(second.values_after, dropped.values_after[1:])
    with pytest.raises(ConfigError, match="value_head=True"):
        tiny_policy("01", 0, "nano").token_scores([(3,)], TOKENS[:1], MASK[:1], values_after=True)


def test_settings_are_saved_and_loaded_with_the_model(tmp_path: Path):
    made = policy()
    made.save(tmp_path)
    for asked in (True, TANH, HeadSettings(squash="tanh")):
        again = CausalPolicy.load(tmp_path, value_head=asked)
        assert again.value_head is not None
        assert again.value_head.settings == (TANH if asked is True else asked)
        assert again.value_of_prefixes(PROMPTS) == made.value_of_prefixes(PROMPTS)
    with pytest.raises(ConfigError, match=r"trained with squash 'tanh'.*--value_head.squash tanh"):
        CausalPolicy.load(tmp_path, value_head=HeadSettings())


def test_a_head_saved_before_there_were_settings_still_loads(tmp_path: Path):
    made = policy(True)
    made.save(tmp_path)
    assert made.value_head is not None
    save_file(made.value_head.state_dict(), tmp_path / VALUE_FILE)
    again = CausalPolicy.load(tmp_path, value_head=True)
    assert again.value_head is not None
    assert again.value_head.settings == HeadSettings()
    assert again.value_of_prefixes(PROMPTS) == made.value_of_prefixes(PROMPTS)
