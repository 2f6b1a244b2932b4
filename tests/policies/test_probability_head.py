"""Two chances from the last token: what they read, and that they learn."""

import numpy as np
import pytest
import torch

from pilothouse.objectives.prism import PrismLoss
from pilothouse.policies.probability_head import ProbabilityHead
from pilothouse.policies.tiny import tiny_policy


def test_it_starts_undecided_and_reads_the_last_token_of_each_context() -> None:
    head = ProbabilityHead(tiny_policy("abc", 0, "nano"), batch=2)
    need, acc = head.chances(["a", "abc", "cab"])
    assert need.tolist() == acc.tolist() == [0.5] * 3
    torch.nn.init.normal_(head.linear.weight, generator=torch.Generator().manual_seed(0))
    together = head.chances(["a", "abcabc", "ca"])
    alone = [head.chances([text]) for text in ("a", "abcabc", "ca")]  # padding changes nothing
    for column in (0, 1):
        assert together[column] == pytest.approx(np.concatenate([one[column] for one in alone]), abs=1e-5)


def test_it_learns_two_things_from_one_context() -> None:
    policy = tiny_policy("abcd", 0, "nano")
    head = ProbabilityHead(policy)
    texts = ["ac", "ad", "bc", "bd"]
    contexts = [policy.codec.encode(text) for text in texts]
    y_need, y_acc = torch.tensor([1.0, 1.0, 0.0, 0.0]), torch.tensor([1.0, 0.0, 1.0, 0.0])
    optimiser = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(60):
        logits = head(contexts)
        loss, _ = PrismLoss()(logits[:, 0], logits[:, 1], y_need, y_acc)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    need, acc = head.chances(texts)
    assert ((need > 0.5) == (y_need.numpy() == 1)).all()
    assert ((acc > 0.5) == (y_acc.numpy() == 1)).all()
