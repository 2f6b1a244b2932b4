"""Windows, normalisation, averaged weights, networks, samplers and the receding horizon, worked by hand."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pilothouse.control.chunks import ChunkDataset
from pilothouse.control.losses import NoisePrediction
from pilothouse.control.receding import RecedingHorizon
from pilothouse.control.rollout import check_spaces, jerk, roll
from pilothouse.control.samplers import DDIM, DDPM, Draws, Plan
from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import ConfigError, RunError
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.chunk import load_policy
from pilothouse.policies.denoisers import Denoiser, ResidualMLP
from pilothouse.policies.diffusion import DiffusionChunk, DiffusionChunkPolicy
from pilothouse.policies.ema import EMA
from pilothouse.policies.normalizer import Normalizer
from pilothouse.policies.unet import UNet
from pilothouse.tasks.demonstrations import Demonstrations, Trajectory
from pilothouse.tasks.reach import Reach


def columns(*ranges: tuple[float, float]) -> ColumnStatistics:
    return ColumnStatistics.of(torch.tensor(ranges, dtype=torch.float32).T)


def test_windows_repeat_the_ends_and_say_so() -> None:
    episodes = [
        Trajectory(torch.arange(float(n + 1))[:, None] + base, torch.arange(float(n))[:, None] + base, torch.zeros(n))
        for n, base in ((3, 0.0), (2, 10.0))
    ]
    data = ChunkDataset(Demonstrations.of(episodes), 4, 2)
    assert len(data) == 5
    batch = data.take(torch.tensor([0, 1, 2, 3, 4]))
    assert batch.observations[..., 0].tolist() == [[0, 0], [0, 1], [1, 2], [10, 10], [10, 11]]
    assert batch.actions[..., 0].tolist() == [
        [0, 0, 1, 2],
        [0, 1, 2, 2],
        [1, 2, 2, 2],
        [10, 10, 11, 11],
        [10, 11, 11, 11],
    ]
    assert batch.mask.int().tolist() == [[0, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]]


def test_normaliser_maps_ranges_and_leaves_fixed_columns_divided() -> None:
    found = columns((2.0, 6.0), (5.0, 5.0), (-1.0, 1.0))
    scaled = Normalizer.min_max(found, {2: 10.0})
    values = torch.tensor([[2.0, 5.0, 1.0], [4.0, 6.0, -1.0]])
    assert torch.allclose(scaled(values), torch.tensor([[-1.0, 0.0, 0.1], [0.0, 1.0, -0.1]]))
    assert torch.allclose(scaled.undo(scaled(values)), values)
    standard = Normalizer.standard(ColumnStatistics.of(torch.tensor([[0.0], [4.0]])))
    assert standard(torch.tensor([[6.0]])).item() == pytest.approx(2.0)


def test_average_of_weights_golden() -> None:
    layer = nn.Linear(1, 1, bias=False)
    nn.init.constant_(layer.weight, 0.0)
    ema = EMA(layer, power=0.5)
    nn.init.constant_(layer.weight, 4.0)
    ema.update()  # decay 1 - 1 = 0
    assert ema.average["weight"].item() == 4.0
    nn.init.constant_(layer.weight, 0.0)
    ema.update()  # decay 1 - 2^-0.5
    assert ema.average["weight"].item() == pytest.approx(4 * (1 - 2**-0.5))
    other = EMA(nn.Linear(1, 1, bias=False), power=0.5)
    other.load_state_dict(copy.deepcopy(ema.state_dict()))
    assert other.decay == ema.decay
    with ema.applied():
        assert layer.weight.item() == pytest.approx(4 * (1 - 2**-0.5))
    assert layer.weight.item() == 0.0


@pytest.mark.parametrize("denoiser", [ResidualMLP(width=16, blocks=2), UNet(channels=(8, 16, 24), kernel=3)])
def test_denoisers_use_chunk_level_and_condition(denoiser: Denoiser) -> None:
    network = denoiser.network(8, 3, 5)
    draw = torch.Generator().manual_seed(0)
    chunk, condition = torch.randn(4, 8, 3, generator=draw), torch.randn(4, 5, generator=draw)
    level = torch.tensor([3, 3, 7, 99])
    found = network(chunk, level, condition)
    assert found.shape == chunk.shape
    for changed in (
        network(chunk + 1, level, condition),
        network(chunk, level + 1, condition),
        network(chunk, level, -condition),
    ):
        assert not torch.allclose(found, changed)
    assert torch.allclose(network(chunk[1:2], level[1:2], condition[1:2]), found[1:2], atol=1e-5)


def test_unet_refuses_what_it_cannot_halve() -> None:
    with pytest.raises(ValueError, match="cannot be halved 1 times"):
        UNet(channels=(8, 16)).network(7, 1, 1)
    with pytest.raises(ValueError, match="multiples of 8"):
        UNet(channels=(8, 12))


def test_loss_is_the_noise_itself_for_a_network_that_says_nothing_and_leaves_padding_out(small: Any) -> None:
    policy = small(horizon=4)
    for parameter in policy.network.parameters():
        nn.init.zeros_(parameter)
    batch = ChunkDataset(Reach().demonstrations(5, SeedTree(0)), 4, 2).draw(50, torch.Generator().manual_seed(0))
    draw = torch.Generator().manual_seed(1)
    torch.randint(100, (50,), generator=draw)
    noise = torch.randn(50, 4, 2, generator=draw).square()
    for masked, expected in ((True, noise[batch.mask].mean()), (False, noise.mean())):
        loss, _ = NoisePrediction(mask_padding=masked)(policy, batch, torch.Generator().manual_seed(1))
        assert loss.item() == pytest.approx(expected.item())
    assert not batch.mask.all()


@pytest.mark.parametrize("sampler", [DDPM(), DDIM(steps=50), DDIM(steps=50, eta=1.0)])
def test_samplers_reach_the_distribution_of_an_oracle(sampler: DDPM | DDIM, oracle: Any) -> None:
    rows = torch.arange(2000)
    draws = Draws(2000, (4, 2), torch.Generator().manual_seed(0))
    chunk, calls = sampler.sample(oracle(), torch.zeros(2000, 8), draws, rows)
    assert calls == (100 if isinstance(sampler, DDPM) else sampler.steps)
    assert chunk.mean().item() == pytest.approx(0.3, abs=0.02)
    assert chunk.std().item() == pytest.approx(0.2, abs=0.03)


@pytest.mark.parametrize(
    ("steps", "spacing", "eta"), [(10, "leading", 0.0), (10, "trailing", 0.0), (7, "trailing", 0.0)]
)
def test_ddim_is_that_of_diffusers(steps: int, spacing: Any, eta: float, small: Any) -> None:
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    policy = small()
    theirs = DDIMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2", timestep_spacing=spacing)
    theirs.set_timesteps(steps)
    mine = DDIM(steps=steps, spacing=spacing, eta=eta)
    assert theirs.timesteps.tolist() == mine.visited(100)
    condition, chunk = torch.zeros(3, 8), Draws(3, (4, 2), torch.Generator().manual_seed(0))(torch.arange(3))
    with torch.no_grad():
        found, _ = mine.sample(policy, condition, Draws(3, (4, 2), torch.Generator().manual_seed(0)), torch.arange(3))
        for level in theirs.timesteps:
            noise = policy.eps(chunk, int(level), condition)
            chunk = theirs.step(noise, int(level), chunk, eta=eta, use_clipped_model_output=True).prev_sample
    if steps == 10:  # with strides that do not divide the levels, diffusers steps to another level than it visits next
        assert torch.allclose(found, chunk, atol=2e-5)


def test_more_steps_than_levels_are_refused() -> None:
    with pytest.raises(ConfigError, match="cannot take 101 steps through 100 levels"):
        DDIM(steps=101).visited(100)


class Counting:
    """Plans 10 t + i for the t-th plan of a slot, and remembers who asked."""

    def __init__(self, slots: int) -> None:
        self.made, self.asked, self.seen = torch.zeros(slots), list[list[int]](), list[Tensor]()

    def reset(self, slots: Tensor) -> None:
        self.made[slots] = 0

    def predict(self, observations: Tensor, rows: Tensor) -> Plan:
        self.asked.append(rows.tolist())
        self.seen.append(observations)
        chunk = (10 * self.made[rows, None] + torch.arange(4.0))[..., None].expand(-1, -1, 2)
        self.made[rows] += 1
        return Plan(chunk, chunk, torch.full((len(rows),), 3))


def test_receding_horizon_executes_from_the_last_observation_and_replans_each_slot_in_its_time(small: Any) -> None:
    actor = RecedingHorizon(small(), DDIM(), 2, SeedTree(0), 2)
    actor.planner = planner = Counting(2)
    actor.reset()
    done = [actor.act(torch.full((2, 4), float(t)))[:, 0].tolist() for t in range(3)]
    assert done == [[1, 1], [2, 2], [11, 11]], "To - 1 = 1 comes first"
    actor.reset(torch.tensor([False, True]))
    done = [actor.act(torch.full((2, 4), 3.0 + t))[:, 0].tolist() for t in range(2)]
    assert done == [[12, 1], [21, 2]]
    assert planner.asked == [[0, 1], [0, 1], [1], [0]]
    assert planner.seen[1][:, :, 0].tolist() == [[1, 2], [1, 2]]
    assert planner.seen[2][:, :, 0].tolist() == [[3, 3]], "a new episode begins with its observation repeated"
    assert (actor.effort.plans, actor.effort.calls) == (6, 18)
    for _ in range(2):
        actor.act(torch.zeros(2, 4), torch.tensor([True, False]))
    assert planner.asked[4:] == [[0]], "a slot that is over costs nothing"


def test_a_chunk_too_short_to_execute_is_refused(small: Any) -> None:
    with pytest.raises(ConfigError, match=r"chunk of 4 actions has 3.*execute = 4"):
        RecedingHorizon(small(), DDIM(), 1, SeedTree(0), 4)


def test_what_a_slot_draws_depends_on_no_other() -> None:
    alone, among = (Draws(3, (4, 2), torch.Generator().manual_seed(0)) for _ in range(2))
    assert alone(torch.tensor([1]))[0].equal(among(torch.tensor([0, 1, 2]))[1])


def test_episodes_are_repeatable_and_their_figures_agree(small: Any) -> None:
    one, other = (
        roll(Reach(), RecedingHorizon(small(), DDIM(steps=2), 5, SeedTree(0), 2), SeedTree(1)) for _ in range(2)
    )
    assert one.returns.equal(other.returns)
    assert one.lengths.tolist() == [len(episode) for episode in one.trajectories]
    assert one.returns.tolist() == [float(episode.rewards.sum()) for episode in one.trajectories]
    assert all(episode.actions.abs().max() <= 1 for episode in one.trajectories)


def test_jerk_golden() -> None:
    assert jerk(torch.tensor([[0.0, 0.0], [3.0, 4.0], [3.0, 4.0]])) == pytest.approx(2.5)
    assert jerk(torch.zeros(1, 2)) == 0.0


def test_a_policy_comes_back_from_its_folder(tmp_path: Path, small: Any) -> None:
    policy = small()
    policy.save(tmp_path)
    back = load_policy(tmp_path)
    chunk, condition = torch.ones(1, 4, 2), policy.condition(torch.ones(1, 2, 4))
    assert isinstance(back, DiffusionChunkPolicy)
    assert back.eps(chunk, 5, condition).equal(policy.eps(chunk, 5, condition))
    check_spaces(back, Reach())
    (tmp_path / "policy.json").write_text("{}")
    with pytest.raises(RunError, match="cannot read the policy"):
        load_policy(tmp_path)


def test_spaces_that_do_not_match_are_named(small: Any) -> None:
    from pilothouse.tasks.pick_lift import PickLift

    with pytest.raises(ConfigError, match="sees 4 and acts with 2 numbers, task 'pick-lift' shows 5 and takes 3"):
        check_spaces(small(), PickLift())


def test_without_diffusers_the_extra_is_named(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers.schedulers.scheduling_ddpm", None)
    with pytest.raises(ConfigError, match=r"need diffusers.*pip install 'pilothouse\[control\]'"):
        small()


def test_divided_channels_stay_divided_in_the_policy(small: Any) -> None:
    policy = small(divisors={"1": 10.0})
    assert policy.actions(torch.tensor([1.0, -1.0])).tolist() == pytest.approx([1.0, -0.1])
    assert DiffusionChunk.build(policy.model.model_dump(mode="json")).divisors == {1: 10.0}
