"""Learning through descent: noise, step sizes, which step learns, and what a squared error cannot learn."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from pilothouse.control import energy_unroll
from pilothouse.control.chunks import ChunkBatch
from pilothouse.control.energy_descent import EnergyDescent
from pilothouse.control.energy_step import EnergyStep, energy_step
from pilothouse.control.energy_unroll import EnergyUnroll, energy_unroll_loss
from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import DataError
from pilothouse.policies.energy_chunk import Dynamics, EnergyChunk, EnergyChunkPolicy
from pilothouse.policies.energy_networks import EnergyMLP, EnergyNetwork, EnergyTransformerShape

NETWORKS = [EnergyMLP(width=16, blocks=2), EnergyTransformerShape(width=16, blocks=2, heads=2)]
GENTLE = Dynamics(alpha=8.0)
UNIT = torch.tensor([[-1.0], [1.0]])


def learner(
    network: EnergyNetwork, dynamics: Dynamics = GENTLE, horizon: int = 4, actions: int = 2, seen: int = 5
) -> EnergyChunkPolicy:
    model = EnergyChunk(network=network, dynamics=dynamics, horizon=horizon, observation_steps=3)
    ranges = (ColumnStatistics.of(UNIT.expand(2, n)) for n in (seen, actions))
    policy = model.policy(*ranges, seed=0)
    assert isinstance(policy, EnergyChunkPolicy)
    return policy


def batch(rows: int = 8) -> ChunkBatch:
    draw = torch.Generator().manual_seed(3)
    actions = torch.rand(rows, 4, 2, generator=draw) * 2 - 1
    return ChunkBatch(torch.randn(rows, 3, 5, generator=draw), actions, torch.ones(rows, 4, dtype=torch.bool))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def walk(steps: list[tuple[tuple[Tensor, ...], EnergyStep]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Record where every step begins, its size and noise, and where it ends."""

    def watched(energy, condition, chunk, velocity, dynamics, *, gain, noise, learn, index) -> EnergyStep:
        began = chunk.clone(), velocity.clone(), gain, noise
        ended = energy_step(
            energy, condition, chunk, velocity, dynamics, gain=gain, noise=noise, learn=learn, index=index
        )
        steps.append((began, ended))
        return ended

    monkeypatch.setattr(energy_unroll, "energy_step", watched)


def test_noise_is_annealed_to_the_step_that_never_comes() -> None:
    found = [EnergyUnroll().sigma(i, 6) for i in range(6)]
    assert found[0] == pytest.approx(0.2)
    assert found[3] == pytest.approx(0.101)
    assert found[5] == pytest.approx(0.01526, abs=1e-5)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_the_gradient_of_a_gradient_reaches_every_parameter(network: EnergyNetwork, scaled: bool) -> None:
    policy = learner(network, Dynamics(scaled=scaled, alpha=8.0))
    loss, _ = EnergyUnroll()(policy, batch(), generator())
    loss.backward()
    bias = list(policy.network.parameters())[-1]
    for name, parameter in policy.named_parameters():
        gradient = torch.zeros(()) if parameter.grad is None else parameter.grad
        assert gradient.isfinite().all(), name
        silent = parameter is bias and not scaled  # a constant moves the energy alone, which then scales nothing
        assert bool((gradient == 0).all()) is silent, name


@pytest.mark.parametrize("network", NETWORKS, ids=lambda n: n.name)
def test_nothing_flows_back_through_time(network: EnergyNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    policy, examples = learner(network), batch()
    steps: list[tuple[tuple[Tensor, ...], EnergyStep]] = []
    walk(steps, monkeypatch)

    def gradients(loss: Tensor) -> list[Tensor]:
        return list(torch.autograd.grad(loss, list(policy.parameters())))

    condition, mask = policy.condition(examples.observations), examples.mask
    loss, figures = energy_unroll_loss(
        policy.energy, condition, examples.actions, policy.dynamics, EnergyUnroll(truncate=True), generator(), mask
    )
    through = gradients(loss)
    assert len(steps) == figures["unrolled"]
    (chunk, velocity, gain, noise), _ = steps[-1]
    condition = policy.condition(examples.observations)
    last = energy_step(policy.energy, condition, chunk, velocity, policy.dynamics, gain=gain, noise=noise, learn=True)
    again = gradients((last.chunk - examples.actions).square().mean())
    assert all(torch.equal(a, b) for a, b in zip(through, again, strict=True))


def test_without_truncation_every_step_counts_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, examples = learner(NETWORKS[0]), batch()
    steps: list[tuple[tuple[Tensor, ...], EnergyStep]] = []
    walk(steps, monkeypatch)
    unroll = EnergyUnroll(steps=3, extra=0, truncate=False)
    loss, figures = unroll(policy, examples, generator())
    errors = [(ended.chunk - examples.actions).square().mean().item() for _, ended in steps]
    assert loss.item() == pytest.approx(sum(errors) / 3, rel=1e-5)
    assert figures["energy_first"] == pytest.approx(steps[0][1].energy.mean().item())
    assert figures["energy_last"] == pytest.approx(steps[-1][1].energy.mean().item())
    truncated, _ = unroll.model_copy(update={"truncate": True})(policy, examples, generator())
    assert truncated.item() == pytest.approx(errors[-1], rel=1e-5)


def test_rows_that_were_not_demonstrated_do_not_count() -> None:
    policy, examples = learner(NETWORKS[0]), batch(2)
    mask = torch.tensor([[True, True, False, False], [True, False, False, False]])

    def found(actions: Tensor, **how: bool) -> float:
        return EnergyUnroll(**how)(policy, ChunkBatch(examples.observations, actions, mask), generator())[0].item()

    changed = torch.where(mask[..., None], examples.actions, -examples.actions)
    assert found(examples.actions, mask_padding=True) == found(changed, mask_padding=True)
    assert found(examples.actions) != found(changed), "as in the authors' code, repeated actions count"


def test_steps_and_their_sizes_are_drawn_from_the_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    policy, examples, draw = learner(NETWORKS[0]), batch(50), generator()
    steps: list[tuple[tuple[Tensor, ...], EnergyStep]] = []
    walk(steps, monkeypatch)
    taken = {EnergyUnroll()(policy, examples, draw)[1]["unrolled"] for _ in range(40)}
    assert taken == {6.0, 7.0, 8.0, 9.0, 10.0}
    gains = torch.cat([began[2] for began, _ in steps])
    assert 1 / 1.5 <= gains.min() < 0.68
    assert 1.49 < gains.max() <= 1.5
    steps.clear()
    EnergyUnroll(jitter=1.0)(policy, examples, draw)
    assert all(torch.equal(began[2], torch.ones(50)) for began, _ in steps)


def test_two_modes_are_averaged() -> None:
    """The start says nothing of the mode, so the squared error is least in the middle: a limit of the method."""
    policy = learner(EnergyMLP(width=32, blocks=1), Dynamics(alpha=1.0, norm=False), horizon=2, actions=1, seen=1)
    optimiser = torch.optim.Adam(policy.parameters(), lr=3e-3)
    draw, nothing = generator(), torch.zeros(128, 3, 1)
    for _ in range(120):
        side = (torch.rand(128, 1, 1, generator=draw) < 0.5).float() * 2 - 1
        examples = ChunkBatch(nothing, side.expand(128, 2, 1), torch.ones(128, 2, dtype=torch.bool))
        loss, _ = EnergyUnroll(steps=2, extra=1)(policy, examples, draw)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimiser.step()
    start = torch.tensor([-1.0, -0.5, 0.5, 1.0]).view(4, 1, 1).expand(4, 2, 1)
    descent, condition = EnergyDescent(g_min=0.0, max_steps=3), policy.condition(nothing[:4])
    found = descent.descend(policy.energy, condition, start, policy.dynamics, draw)
    assert found.chunk.abs().max() < 0.3
    assert loss.item() == pytest.approx(1.0, abs=0.25), "the variance of the two modes remains"


def test_bad_input_is_named() -> None:
    examples = batch()
    far = ChunkBatch(examples.observations, examples.actions * 2, examples.mask)
    with pytest.raises(DataError, match=r"a normalised action is 1\.\d+ and descent"):
        EnergyUnroll()(learner(NETWORKS[0]), far, generator())
