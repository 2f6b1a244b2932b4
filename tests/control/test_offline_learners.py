"""TD3+BC and IQL: losses by hand, learning that can fail, and state that goes on exactly."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pilothouse.control.iql import IQL
from pilothouse.control.learner import Learner
from pilothouse.control.offline_data import Frame, OfflineData
from pilothouse.control.offline_losses import (
    advantage_weights,
    behaviour_regularised,
    bootstrapped,
    expectile,
    twin_error,
)
from pilothouse.control.td3_bc import TD3BC
from pilothouse.control.transitions import Mixed, Transitions
from pilothouse.core.errors import ConfigError, DataError, DivergedError, RunError
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.actors import GaussianActor
from pilothouse.policies.stacked import StackedMLP

BOTH = pytest.mark.parametrize("learner", [TD3BC(hidden=(16, 16), batch=32), IQL(hidden=(16, 16), batch=32)])


def fresh(learner: Learner) -> Learner:
    return Learner.build(learner.model_dump())


def test_targets_stop_at_an_end() -> None:
    found = bootstrapped(torch.tensor([1.0, 1.0]), torch.tensor([0.0, 1.0]), torch.tensor([10.0, 10.0]), 0.9)
    assert found.tolist() == pytest.approx([10.0, 1.0])


def test_twin_error_adds_the_critics() -> None:
    values = torch.tensor([[1.0, 2.0], [0.0, 4.0]])
    # (0 + 4) / 2 + (1 + 16) / 2 for the target (1, 0)
    assert float(twin_error(values, torch.tensor([1.0, 0.0]))) == pytest.approx(10.5)


def test_behaviour_regularised_loss() -> None:
    value = torch.tensor([2.0, -6.0], requires_grad=True)
    action, logged = torch.tensor([[0.5], [0.0]], requires_grad=True), torch.tensor([[0.0], [1.0]])
    loss = behaviour_regularised(value, action, logged, alpha=2.5)
    # lambda = 2.5 / 4; mean Q = -2; imitation (0.25 + 1) / 2
    assert float(loss.detach()) == pytest.approx(2.5 / 4 * 2 + 0.625)
    loss.backward()
    assert value.grad is not None
    assert value.grad.tolist() == pytest.approx([-2.5 / 8, -2.5 / 8]), "lambda is held constant"
    assert float(behaviour_regularised(torch.zeros(2), torch.zeros(2, 1), logged, 2.5)) == pytest.approx(0.5)


def test_expectile_loss() -> None:
    difference = torch.tensor([2.0, -1.0])
    assert float(expectile(difference, 0.7)) == pytest.approx((0.7 * 4 + 0.3 * 1) / 2)
    assert float(expectile(difference, 0.5)) == pytest.approx(float(difference.square().mean()) / 2)


def test_advantage_weights() -> None:
    found = advantage_weights(torch.tensor([0.0, 1.0, 100.0, -1.0]), 3.0, 100.0)
    assert found.tolist() == pytest.approx([1.0, math.exp(3), 100.0, math.exp(-3)], rel=1e-5)


def test_stacked_networks_are_each_their_own() -> None:
    net = StackedMLP((3, 8, 8, 2), 2, torch.Generator().manual_seed(0))
    x = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    for member in range(2):
        hidden = x
        for weight, bias in list(zip(net.weights, net.biases, strict=True))[:-1]:
            hidden = (hidden @ weight[member] + bias[member]).relu()
        expected = hidden @ net.weights[-1][member] + net.biases[-1][member]
        assert torch.allclose(net(x)[member], expected, atol=1e-6)
    x.requires_grad_()
    net.frozen(x, slice(0, 1)).sum().backward()
    assert x.grad is not None
    assert all(weight.grad is None for weight in net.parameters())


def test_gaussian_density() -> None:
    actor = GaussianActor(2, 2, (4,), torch.Generator().manual_seed(0))
    with torch.no_grad():
        actor.log_std.copy_(torch.tensor([0.0, math.log(0.5)]))
    states, actions = torch.zeros(1, 2), torch.tensor([[0.3, -0.2]])
    normal = torch.distributions.Normal(actor.mean(states), torch.tensor([1.0, 0.5]))
    assert float(actor.log_prob(states, actions).detach()) == pytest.approx(
        float(normal.log_prob(actions).sum().detach()), abs=1e-5
    )


def bandit(count: int = 512) -> OfflineData:
    """Steps that each end an episode: the reward is 1 less the distance from 0.5 times the sign of the state."""
    from pilothouse.tasks.demonstrations import Demonstrations, Trajectory

    generator = torch.Generator().manual_seed(3)
    states = torch.where(torch.rand(count, 1, generator=generator) < 0.5, -1.0, 1.0)
    actions = 2 * torch.rand(count, 1, generator=generator) - 1
    rewards = 1 - (actions - 0.5 * states).abs()[:, 0]
    episodes = [
        Trajectory(torch.stack([s, s]), a[None], r[None], True)
        for s, a, r in zip(states, actions, rewards, strict=True)
    ]
    return OfflineData(Demonstrations.of(episodes), torch.tensor([-1.0]), torch.tensor([1.0]))


@pytest.mark.parametrize(
    "learner",
    [TD3BC(hidden=(32, 32), learning_rate=3e-3, alpha=10.0), IQL(hidden=(32, 32), learning_rate=3e-3, beta=10.0)],
)
def test_learners_find_the_better_actions(learner: Learner) -> None:
    data = bandit()
    fresh(learner).fit(data, steps=0)
    learner.fit(data, steps=400)
    found = learner.act(torch.tensor([[-1.0], [1.0]]))[:, 0]
    assert found[0] < -0.2
    assert found[1] > 0.2


@BOTH
def test_saved_learners_act_alike_and_go_on_exactly(
    learner: Learner, recorded: Callable[..., OfflineData], tmp_path: Path
) -> None:
    data, seen = recorded(), torch.randn(7, 2, generator=torch.Generator().manual_seed(0))
    straight = fresh(learner).fit(data, steps=12, seeds=SeedTree(5))
    half = fresh(learner).fit(data, steps=6, seeds=SeedTree(5))
    half.save(tmp_path)
    back = Learner.load(tmp_path)
    assert torch.equal(back.act(seen), half.act(seen))
    for _ in range(6):
        back.update(data.transitions)
    assert back.step == 12
    assert torch.equal(back.act(seen), straight.act(seen))


@BOTH
def test_draws_do_not_depend_on_the_global_generator(learner: Learner, recorded: Callable[..., OfflineData]) -> None:
    data, found = recorded(), list[Tensor]()
    for seed in (0, 1):
        torch.manual_seed(seed)
        found.append(fresh(learner).fit(data, steps=3).act(torch.ones(2, 2)))
    assert torch.equal(*found)
    assert not torch.equal(found[0], fresh(learner).fit(data, steps=3, seeds=SeedTree(9)).act(torch.ones(2, 2)))


@BOTH
def test_actions_come_in_the_tasks_units(learner: Learner, recorded: Callable[..., OfflineData]) -> None:
    learner = fresh(learner).fit(recorded(), steps=2)
    seen = torch.randn(9, 2, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(learner.act(seen), 2 * learner.mean(seen).detach())


@BOTH
def test_mistakes_are_told(learner: Learner, recorded: Callable[..., OfflineData], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has learnt nothing yet"):
        fresh(learner).act(torch.zeros(1, 2))
    with pytest.raises(ConfigError, match="observations of 2 numbers, not 3"):
        fresh(learner).fit(recorded(), steps=1).act(torch.zeros(1, 3))
    with pytest.raises(RunError, match="cannot read the learner"):
        Learner.load(tmp_path)
    (tmp_path / "learner.json").write_text("{}")
    (tmp_path / "learner.pt").write_bytes(b"no")
    with pytest.raises((RunError, ConfigError)):
        Learner.load(tmp_path)
    steps = Transitions(torch.full((4, 7), math.inf), 2, 1)
    with pytest.raises(DivergedError, match="lower learning_rate"):
        fresh(learner).begin(Frame.blank(2, 1), SeedTree(0)).update(steps)


def test_the_targets_move_slowly(recorded: Callable[..., OfflineData]) -> None:
    data = recorded()
    learner = TD3BC(hidden=(8,), batch=16, delay=2, polyak=0.25).begin(data.frame, SeedTree(0))
    critic, slow = learner.part("critic", StackedMLP), learner.part("target_critic", StackedMLP)
    start = critic.weights[0].detach().clone()
    assert torch.equal(slow.weights[0], start)
    learner.update(data.transitions)
    assert torch.equal(slow.weights[0], start), "the targets wait for the actor's turn"
    learner.update(data.transitions)
    assert torch.allclose(slow.weights[0], start + 0.25 * (critic.weights[0] - start), atol=1e-7)


def test_mixed_batches_hold_their_share() -> None:
    ones, zeros = (Transitions(torch.full((8, 7), value), 2, 1) for value in (1.0, 0.0))
    batch = Mixed(ones, zeros, 1 / 16).draw(256, torch.Generator().manual_seed(0))
    assert len(batch) == 256
    assert int(batch.reward.sum()) == 16
    assert int(Mixed(ones, zeros, 1.0).draw(8, torch.Generator()).reward.sum()) == 8


def test_transitions_that_cannot_be_used_are_refused() -> None:
    one = torch.ones(3)
    with pytest.raises(DataError, match="not finite"):
        Transitions.of(torch.full((3, 2), math.nan), torch.ones(3, 1), one, torch.ones(3, 2), one)
    with pytest.raises(DataError, match="differ in length"):
        Transitions.of(torch.ones(3, 2), torch.ones(2, 1), one, torch.ones(3, 2), one)
    with pytest.raises(DataError, match="no transitions to draw from"):
        Transitions(torch.empty(0, 7), 2, 1).draw(4, torch.Generator())
