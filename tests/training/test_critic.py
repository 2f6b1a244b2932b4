"""A value network of its own: its targets, its data, and that it leaves the policy alone."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from pilothouse.core.episodes import Episode
from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Score
from pilothouse.core.requests import StopReason
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.gae import GAE
from pilothouse.objectives.clipped import Clipped
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.heads import HeadSettings
from pilothouse.policies.lora import LoRA
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.group import Group
from pilothouse.training.critic import Critic, explained_variance
from pilothouse.training.recipe import CriticSettings, PolicyGradient, TrainingSettings

SEEDS = SeedTree(0)


def critic(policy: CausalPolicy, credit: GAE | None = None, **settings: Any) -> Critic:
    recipe = PolicyGradient(
        program=Group(n=1),
        credit=credit or GAE(value_lam=1.0),
        objective=Clipped(),
        critic=CriticSettings(network="separate", **settings),
        training=TrainingSettings(prompts=1, learning_rate=1e-2),
    )
    return Critic.beside(recipe, policy)


def episode(tokens: tuple[int, ...], reward: float, *, cut: bool = False) -> Episode:
    size = len(tokens)
    score = None if cut else Score(reward)
    reason = StopReason.CUT if cut else StopReason.EOS
    return Episode((3, 4), tokens, (True,) * size, (-1.0,) * size, stop_reason=reason, score=score)


def batch(*episodes: Episode) -> Rollouts:
    return Rollouts.from_episodes(episodes, list(range(len(episodes))))


def test_it_learns_the_outcome_of_what_ended_and_leaves_the_policy_alone() -> None:
    policy = tiny_policy("0123456789", 0, "nano")
    before = [weight.clone() for weight in policy.model.parameters()]
    made = critic(policy)
    rollouts = batch(episode((5, 6, 7), 1.0), episode((8, 9), 0.0), episode((10, 11, 12, 5), 9.0, cut=True))
    figures = dict[str, float]()
    for step in range(60):
        figures = made.update(rollouts.replace(**made.values(rollouts)), step, SEEDS / step)
    values = made.values(rollouts)["values"]
    # Both begin in the same state, worth the token mean of what came of it: the first guess is between.
    torch.testing.assert_close(values[0, 1:3], torch.ones(2), atol=0.05, rtol=0)
    torch.testing.assert_close(values[1, 1], torch.tensor(0.0), atol=0.05, rtol=0)
    assert values[0, 0] == pytest.approx(0.5, abs=0.05)
    assert not values[~rollouts.action_mask].any()
    assert figures["critic/responses"] == 2
    assert figures["critic/tokens"] == 5
    assert figures["critic/explained_variance"] > 0.5
    assert all(a.equal(b) for a, b in zip(before, policy.model.parameters(), strict=True))


def test_first_loss_by_hand() -> None:
    # The head begins at 0: half of (1 + 1 + 1 + 0 + 0) / 5 over the five tokens of two responses.
    made = critic(tiny_policy("0123456789", 0, "nano"))
    rollouts = batch(episode((5, 6, 7), 1.0), episode((8, 9), 0.0))
    figures = made.update(rollouts.replace(**made.values(rollouts)), 0, SEEDS)
    assert figures["critic/loss"] == pytest.approx(0.3)
    assert figures["critic/explained_variance"] == pytest.approx(0.0)


def test_a_limit_on_moves_stops_the_gradient() -> None:
    rollouts, norms = batch(episode((5, 6, 7), 1.0)), dict[tuple[float, int], float]()
    for eps, epochs in ((0.0, 1), (0.0, 2), (1e-6, 1), (1e-6, 2)):
        made = critic(tiny_policy("0123456789", 0, "nano"), eps=eps, epochs=epochs)
        figures = made.update(rollouts.replace(**made.values(rollouts)), 0, SEEDS)
        norms[eps, epochs] = figures["critic/grad_norm"]
    assert norms[0.0, 1] == norms[1e-6, 1], "before anything has moved there is no limit"
    assert norms[1e-6, 2] == pytest.approx(norms[1e-6, 1] / 2), "the second pass has no gradient left"
    assert norms[0.0, 2] > norms[1e-6, 2]


def test_nothing_ended() -> None:
    made = critic(tiny_policy("0123456789", 0, "nano"))
    rollouts = batch(episode((5, 6), 0.0, cut=True))
    for times in (1, 2):
        assert made.update(rollouts.replace(**made.values(rollouts)), 0, SEEDS)["critic/skipped"] == times
    failed = batch(episode((5, 6), 0.0).scored(Score.failed("no verdict")))
    assert made.update(failed.replace(**made.values(failed)), 0, SEEDS)["critic/responses"] == 0


def test_the_state_after_a_cut_is_valued_when_asked_for() -> None:
    policy = tiny_policy("0123456789", 0, "nano")
    made = critic(policy, GAE(value_lam=1.0, cut="bootstrap"))
    assert made.network.value_head is not None
    torch.nn.init.normal_(made.network.value_head.weight, generator=torch.Generator().manual_seed(1))
    rollouts = batch(episode((5, 6, 7), 0.0, cut=True), episode((8, 9), 1.0))
    found = made.values(rollouts)
    states = [(3, 4, 5, 6, 7), (3, 4, 8, 9)]
    torch.testing.assert_close(found["final_values"], torch.tensor(made.network.value_of_prefixes(states)))
    before = [(3, 4), (3, 4, 5), (3, 4, 5, 6)]
    torch.testing.assert_close(found["values"][0], torch.tensor(made.network.value_of_prefixes(before)))
    assert "final_values" not in critic(policy).values(rollouts)


def test_explained_variance_by_hand() -> None:
    # R = (0, 0, 1, 1): variance 1/4. V = R: all of it; V = 1/2: none; V = (0, 0, 1/2, 1/2): 1 - (1/16) / (1/4).
    rollouts = batch(episode((5, 6), 0.0), episode((7, 8), 1.0))
    returns = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    for values, share in ((returns, 1.0), (torch.full((2, 2), 0.5), 0.0), (returns / 2, 0.75)):
        assert explained_variance(rollouts.replace(values=values), returns) == pytest.approx(share)
    assert math.isnan(explained_variance(rollouts.replace(values=returns), torch.ones(2, 2)))


def test_with_an_adapter_only_the_adapter_and_the_head_learn() -> None:
    pytest.importorskip("peft")
    base = tiny_policy("0123456789", 0, "nano")
    policy = CausalPolicy(base.model, base.tokenizer, lora=LoRA(r=2))
    made = critic(policy)
    names = made.network.trainable_parameters().keys()
    assert {"value_head.weight", "value_head.bias"} < names
    assert names - {"value_head.weight", "value_head.bias"} == policy.trainable_parameters().keys()
    before = {name: weight.clone() for name, weight in policy.trainable_parameters().items()}
    rollouts = batch(episode((5, 6, 7), 1.0), episode((8, 9), 0.0))
    for step in range(3):
        made.update(rollouts.replace(**made.values(rollouts)), step, SEEDS)
    assert all(weight.equal(before[name]) for name, weight in policy.trainable_parameters().items())


def test_values_need_a_head() -> None:
    policy = tiny_policy("0123456789", 0, "nano")
    with pytest.raises(ConfigError, match="value_head=True"):
        policy.state_values([(3,)], torch.tensor([[4]]), torch.tensor([[True]]))
    twin = policy.value_network(HeadSettings(squash="tanh"))
    assert twin.value_head is not None
    assert twin.value_head.settings.squash == "tanh"
    assert not twin.state_values([(3,)], torch.tensor([[4]]), torch.tensor([[False]])).any()
