"""Energy networks: what may read what, second derivatives, and chunks of the wrong shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import ConfigError
from pilothouse.policies.attention import Attention, RMSNorm, dropped
from pilothouse.policies.chunk import load_policy
from pilothouse.policies.energy_chunk import Dynamics, EnergyChunk, EnergyChunkPolicy
from pilothouse.policies.energy_networks import EnergyMLP, EnergyNetwork, EnergyTransformerShape

SMALL = EnergyTransformerShape(width=16, blocks=2, heads=2)
KINDS = [EnergyMLP(width=16, blocks=2), SMALL]


def build(network: EnergyNetwork, seed: int = 0) -> EnergyChunkPolicy:
    ranges = (ColumnStatistics.of(torch.tensor([[-1.0], [1.0]]).expand(2, n)) for n in (3, 2))
    policy = EnergyChunk(network=network, horizon=4, observation_steps=2).policy(*ranges, seed=seed)
    assert isinstance(policy, EnergyChunkPolicy)
    return policy.double()


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("network", KINDS, ids=lambda n: n.name)
def test_networks_can_be_differentiated_twice(network: EnergyNetwork) -> None:
    policy = build(network)
    seen, actions = numbers(2, 2, 3), numbers(2, 4, 2, seed=1).requires_grad_()
    condition = policy.condition(seen).detach()
    assert torch.autograd.gradgradcheck(lambda a: policy.energy(a, condition), (actions,))


@pytest.mark.parametrize("network", KINDS, ids=lambda n: n.name)
def test_an_energy_is_a_chunks_own_and_the_mean_of_its_scores(network: EnergyNetwork) -> None:
    policy = build(network)
    seen, actions = numbers(3, 2, 3), numbers(3, 4, 2, seed=1)
    energy = policy.energy(actions, policy.condition(seen))
    assert energy.shape == (3,)
    alone = policy.energy(actions[1:2], policy.condition(seen[1:2]))
    torch.testing.assert_close(alone, energy[1:2])
    torch.testing.assert_close(energy, policy.network(actions, policy.condition(seen)).mean(dim=(1, 2)))
    assert not torch.allclose(energy, policy.energy(actions, policy.condition(seen + 1)))


def test_weights_come_from_the_seed_alone() -> None:
    before = torch.random.get_rng_state()
    one, same, other = (build(SMALL, seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["network.inner.head.1.0.weight"], other["network.inner.head.1.0.weight"])


def test_linear_layers_begin_at_xavier_and_zero() -> None:
    for name, parameter in build(SMALL).named_parameters():
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        elif parameter.dim() == 2:
            assert parameter.abs().max() <= (6 / sum(parameter.shape)) ** 0.5, name


def test_observations_read_the_past_alone() -> None:
    policy = build(SMALL)
    seen = numbers(1, 2, 3)
    later = seen.clone()
    later[:, 1] += 1
    a, b = policy.condition(seen), policy.condition(later)
    assert torch.equal(a[:, 0], b[:, 0])
    assert not torch.allclose(a[:, 1], b[:, 1])


def test_an_action_reads_observations_up_to_its_own_row() -> None:
    cross = build(SMALL).network.inner.blocks[0].cross
    mask = build(SMALL).network.inner.mask
    assert mask.tolist() == [[True, False], [True, True], [True, True], [True, True]]
    seen, hidden = numbers(1, 2, 16), numbers(1, 4, 16, seed=1)
    later = seen.clone()
    later[:, 1] += 1
    moved = (cross(hidden, seen, mask) - cross(hidden, later, mask)).abs().amax(dim=2)[0]
    assert moved[0] == 0
    assert (moved[1:] > 0).all()


def test_dropout_is_drawn_from_the_generator_and_off_without_one() -> None:
    policy = build(SMALL)
    actions, condition = numbers(2, 4, 2), policy.condition(numbers(2, 2, 3))

    def energy(seed: int) -> torch.Tensor:
        return policy.energy(actions, condition, torch.Generator().manual_seed(seed))

    assert torch.equal(energy(0), energy(0))
    assert not torch.equal(energy(0), energy(1))
    assert torch.equal(policy.energy(actions, condition), policy.energy(actions, condition))
    kept = dropped(torch.ones(10_000), 0.3, torch.Generator().manual_seed(0))
    assert kept.unique().tolist() == pytest.approx([0.0, 1 / 0.7])
    assert kept.mean().item() == pytest.approx(1.0, abs=0.03)


def test_queries_and_keys_are_at_unit_scale() -> None:
    attention = Attention(8, 2, 0.0)
    hidden = numbers(1, 5, 8).float()
    before = attention(hidden)
    with torch.no_grad():
        attention.query.weight *= 100
        attention.query.bias *= 100
    torch.testing.assert_close(attention(hidden), before, atol=1e-4, rtol=1e-4)
    assert RMSNorm(2)(torch.tensor([3.0, 4.0])).tolist() == pytest.approx([0.8485, 1.1314], abs=1e-4)


@pytest.mark.parametrize("network", KINDS, ids=lambda n: n.name)
def test_a_saved_policy_is_the_same(network: EnergyNetwork, tmp_path: Path) -> None:
    ranges = (ColumnStatistics.of(torch.randn(9, n, generator=torch.Generator().manual_seed(n))) for n in (3, 2))
    model = EnergyChunk(network=network, horizon=4, dynamics=Dynamics(alpha=3.0, mu=0.1))
    policy = model.policy(*ranges, seed=1)
    policy.save(tmp_path)
    found = load_policy(tmp_path)
    assert isinstance(policy, EnergyChunkPolicy)
    assert isinstance(found, EnergyChunkPolicy)
    assert found.dynamics == policy.dynamics
    seen, actions = numbers(2, 2, 3).float(), numbers(2, 4, 2, seed=1).float()
    assert torch.equal(policy.energy(actions, policy.condition(seen)), found.energy(actions, found.condition(seen)))


def test_bad_shapes_are_named() -> None:
    policy = build(KINDS[0])
    with pytest.raises(ConfigError, match=r"scores chunks of 4 x 2 .* was given 5 x 2"):
        policy.energy(numbers(1, 5, 2), policy.condition(numbers(1, 2, 3)))
    with pytest.raises(ConfigError, match="3 attention heads do not divide a width of 16"):
        build(EnergyTransformerShape(width=16, heads=3))
    with pytest.raises(ConfigError, match="width must be even"):
        build(EnergyTransformerShape(width=15, heads=3))
