"""Trajectory diffusion, its replay and the world model: they learn, sample, go on exactly, and refuse mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pilothouse.control.columns import Pieces
from pilothouse.control.guidance import ActionGuidance
from pilothouse.control.heun import HeunSampler
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.synthetic import SyntheticReplay, SyntheticSettings, train_offline
from pilothouse.control.td3_bc import TD3BC
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.control.trajectory_measures import (
    distance_to_data,
    dynamics_error,
    log_likelihood,
    off_policyness,
    termination_rate,
)
from pilothouse.control.world_model import EnsembleWorldModel
from pilothouse.core.errors import ConfigError, DataError, RunError
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.trajectory_networks import ResidualConv, TrajectoryNetwork, TrajectoryUNet

SHORT = HeunSampler(steps=4)


class Up:
    def mean(self, observations: Tensor) -> Tensor:
        return torch.full((len(observations), 1), 0.9)


def small(**settings: object) -> TrajectoryDiffusion:
    return TrajectoryDiffusion.model_validate(
        {"network": ResidualConv(width=16, blocks=2), "length": 8, "stride": 4, "batch": 16, **settings}
    )


def made(model: TrajectoryDiffusion, seed: int = 0, **how: object) -> Pieces:
    return model.sample(5, torch.Generator().manual_seed(seed), sampler=SHORT, **how)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("network", [ResidualConv(width=8, blocks=1), TrajectoryUNet(width=8, levels=3)])
@pytest.mark.parametrize("rows", [2, 7, 8, 33])
def test_networks_take_any_number_of_rows(network: TrajectoryNetwork, rows: int) -> None:
    net = network.network(5)
    x = torch.randn(3, rows, 5)
    assert torch.equal(net(x, torch.zeros(3)), torch.zeros_like(x)), "the last layer starts at zero"
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    out = net(x, torch.zeros(3))
    assert out.shape == x.shape
    assert not torch.allclose(out, net(x, torch.ones(3))), "it is told the noise level"


def test_no_coefficient_is_no_guidance_bit_for_bit(recorded: Callable[..., OfflineData]) -> None:
    model = small().fit(recorded(), steps=3)
    plain, off = made(model), made(model, policy=Up(), guidance=ActionGuidance(coeff=0.0))
    assert torch.equal(plain.states, off.states)
    assert torch.equal(plain.actions, off.actions)
    guided = made(model, policy=Up(), guidance=ActionGuidance(coeff=3.0))
    assert not torch.equal(plain.actions, guided.actions)


def test_what_it_learns_shows_in_samples(recorded: Callable[..., OfflineData]) -> None:
    data = recorded((60,) * 40)
    model = small(learning_rate=5e-3, ema=0.8).fit(data, steps=250)
    pieces = model.sample(64, torch.Generator().manual_seed(0), sampler=HeunSampler(steps=12))
    untrained = small().fit(data, steps=0).sample(64, torch.Generator().manual_seed(0), sampler=HeunSampler(steps=12))

    def moved(states: Tensor, actions: Tensor) -> Tensor:
        return states + torch.cat([0.2 * actions, torch.zeros_like(actions)], 1)

    error, before = (float(dynamics_error(p, moved).mean()) for p in (pieces, untrained))
    assert error < 0.25 * before
    pushed = model.sample(
        64, torch.Generator().manual_seed(0), sampler=HeunSampler(steps=12), policy=Up(), guidance=ActionGuidance()
    )
    assert off_policyness(pushed, Up()) < 0.7 * off_policyness(pieces, Up())
    assert distance_to_data(pieces, data) < distance_to_data(untrained, data)
    assert termination_rate(pieces) < 0.05


def test_measures_by_hand() -> None:
    states = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [3.0, 1.0]]])
    actions, done = torch.tensor([[[0.9], [0.4], [0.9]]]), torch.tensor([[0.2, 0.6, 0.0]])
    pieces = Pieces(states, actions, torch.zeros(1, 3), done)
    assert off_policyness(pieces, Up()) == pytest.approx(0.25 / 3)
    error = dynamics_error(pieces, lambda s, a: s + torch.tensor([1.0, 0.0]))
    assert error.tolist() == pytest.approx([0.0, 1.0])
    assert termination_rate(pieces) == pytest.approx(1 / 3)

    class Unit(Up):
        def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
            return -0.5 * (actions - self.mean(observations)).square().sum(-1)

    assert log_likelihood(pieces, Unit()) == pytest.approx(-0.125 / 3)


def test_saved_models_sample_alike_and_go_on_exactly(recorded: Callable[..., OfflineData], tmp_path: Path) -> None:
    data = recorded()
    straight = small(ema_every=2).fit(data, steps=10, seeds=SeedTree(3))
    half = small(ema_every=2).begin(data, 10, SeedTree(3))
    for _ in range(5):
        half.update()
    half.save(tmp_path)
    back = TrajectoryDiffusion.load(tmp_path)
    assert torch.equal(made(back).states, made(half).states)
    again = small(ema_every=2).begin(data, 10, SeedTree(3))
    again.load_state_dict(half.state_dict())
    while again.step < again.steps:
        again.update()
    assert torch.equal(made(again).states, made(straight).states)
    assert made(back, length=33).states.shape == (5, 33, 2)


def test_mistakes_are_told(recorded: Callable[..., OfflineData], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has learnt nothing yet"):
        made(small())
    with pytest.raises(DataError, match="no episode gives a window of 64 steps"):
        small(length=64).fit(recorded(), steps=1)
    with pytest.raises(RunError, match="cannot read the diffusion model"):
        TrajectoryDiffusion.load(tmp_path)
    with pytest.raises(ConfigError, match="has learnt nothing yet"):
        EnsembleWorldModel().predict(torch.zeros(1, 2), torch.zeros(1, 1), torch.Generator())


def test_validation_is_on_episodes_that_were_held_out(recorded: Callable[..., OfflineData]) -> None:
    assert small(validation=0.5).fit(recorded(), steps=1).validation_loss(SeedTree(0)) > 0
    none = small(validation=0.0).fit(recorded(), steps=1).validation_loss(SeedTree(0))
    assert none != none, "nothing was held out"


def test_the_first_lot_is_unguided_and_later_ones_follow_the_actor(recorded: Callable[..., OfflineData]) -> None:
    data = recorded()
    model = small().fit(data, steps=2)
    settings = SyntheticSettings(trajectories=6, rows=4, length=5, refresh_every=10, real_fraction=0.25, sampler=SHORT)
    replay = SyntheticReplay(model, data.transitions, settings, SeedTree(0))
    assert [step for step in range(25) if replay.due(step)] == [0, 10, 20]
    replay.refresh(0, Up())
    first = replay.synthetic
    assert len(first) == 6 * 4
    off = settings.model_copy(update={"guidance": ActionGuidance(coeff=0.0)})
    plain = SyntheticReplay(model, data.transitions, off, SeedTree(0))
    plain.refresh(0, Up())
    assert torch.equal(first.rows, plain.synthetic.rows)
    replay.refresh(10, Up())
    plain.refresh(10, Up())
    assert not torch.equal(replay.synthetic.rows, first.rows)
    assert not torch.equal(replay.synthetic.rows, plain.synthetic.rows)
    again = SyntheticReplay(model, data.transitions, settings, SeedTree(0))
    again.load_state_dict(replay.state_dict())
    assert torch.equal(again.draw(8, torch.Generator()).rows, replay.draw(8, torch.Generator()).rows)


def test_staggered_lots_replace_the_oldest(recorded: Callable[..., OfflineData]) -> None:
    data = recorded()
    settings = SyntheticSettings(trajectories=2, length=3, refresh_every=1, lifetime=3, sampler=SHORT)
    replay = SyntheticReplay(small().fit(data, steps=1), data.transitions, settings, SeedTree(0))
    replay.refresh(0, None)
    before = replay.synthetic.rows
    assert len(before) == 3 * 2 * 2
    replay.refresh(1, Up())
    assert torch.equal(replay.synthetic.rows[:8], before[4:])


def test_train_offline_mixes_and_without_a_model_is_fit(recorded: Callable[..., OfflineData]) -> None:
    data, seen = recorded(), torch.ones(2, 2)
    tiny = {"hidden": (8,), "batch": 16}
    alone = train_offline(TD3BC.model_validate(tiny), data, steps=4)
    fitted = TD3BC.model_validate(tiny).fit(data, steps=4, seeds=SeedTree(0) / "learner")
    assert torch.equal(alone.act(seen), fitted.act(seen))
    settings = SyntheticSettings(trajectories=2, length=5, refresh_every=2, sampler=SHORT)
    mixed = train_offline(TD3BC.model_validate(tiny), data, small().fit(data, steps=1), settings, steps=4)
    assert not torch.equal(mixed.act(seen), alone.act(seen))


def test_world_model_learns_the_step_and_compounds(recorded: Callable[..., OfflineData]) -> None:
    data = recorded((60,) * 10)
    model = EnsembleWorldModel(members=2, hidden=(32,), batch=64, learning_rate=5e-3, draw=False).fit(data, steps=400)
    start = torch.tensor([[0.0, 1.0], [0.2, 1.0]])
    pieces = model.rollout(Up(), start, 4, torch.Generator().manual_seed(0))
    assert pieces.states.shape == (2, 5, 2)
    assert torch.equal(pieces.states[:, 0], start)
    assert torch.allclose(pieces.states[:, 1, 0], start[:, 0] + 0.18, atol=0.05)
    assert float(pieces.done.sum()) == 0
    assert off_policyness(pieces, Up()) == pytest.approx(0.0, abs=1e-6)
    ended = EnsembleWorldModel(members=1, hidden=(16,), batch=64).fit(recorded((1,) * 50, terminated=True), steps=60)
    assert float(ended.predict(start, torch.zeros(2, 1), torch.Generator().manual_seed(0))[2].mean()) == 1.0
