"""Prompts scored by the policy that answers them."""

from __future__ import annotations

import pytest
import torch

from pilothouse.policies.prompts import prompt_logprobs
from pilothouse.policies.tiny import tiny_policy


def test_log_probabilities_of_prompts_are_the_models_own() -> None:
    policy = tiny_policy("0123456789+=", 0, "nano")
    prompts = [policy.codec.encode(text) for text in ("12+3=", "7", "4=")]
    found = prompt_logprobs(policy, prompts, temperature=torch.tensor([1.0, 1.0, 2.0]))
    assert [len(row) for row in found] == [4, 0, 1]
    with torch.no_grad():
        for prompt, row, heat in zip(prompts, found, (1.0, 1.0, 2.0), strict=True):
            logits = policy.model(input_ids=torch.tensor([prompt])).logits[0].float() / heat
            own = logits.log_softmax(-1)[:-1].gather(1, torch.tensor(prompt[1:]).long()[:, None])[:, 0]
            assert list(row) == pytest.approx(own.tolist(), abs=1e-5)
    assert prompt_logprobs(policy, [(3,), (4,)]) == [(), ()]
