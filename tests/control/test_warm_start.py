"""Real-time iterations: the checks of the paper's scheme, worked by hand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from pilothouse.control.receding import RecedingHorizon
from pilothouse.control.samplers import DDIM, DDPM, Draws
from pilothouse.control.start_level import estimate_start_step, level_of_error
from pilothouse.control.steps import posterior_step
from pilothouse.control.warm_start import RTI, DiscreteSpec, WarmStartSampler, shifted
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree

EVERY = torch.ones(3, dtype=torch.bool)


def seen(*values: float) -> Tensor:
    return torch.tensor(values)[:, None, None].expand(-1, 2, 4)


def draws(slots: int, seed: int = 0) -> Draws:
    return Draws(slots, (4, 2), torch.Generator().manual_seed(seed))


def test_shift_repeats_the_last_row() -> None:
    chunk = torch.tensor([1.0, 2.0, 3.0, 4.0])[None, :, None]
    assert shifted(chunk, 1).flatten().tolist() == [2, 3, 4, 4]
    assert shifted(chunk, 2).flatten().tolist() == [3, 4, 4, 4]


def test_all_levels_from_noise_are_plain_ddpm_bit_for_bit(small: Any) -> None:
    policy, rows = small(levels=20), torch.arange(3)
    condition = policy.condition(seen(0.1, 0.2, 0.3))
    with torch.no_grad():
        plain, calls = DDPM().sample(policy, condition, draws(3), rows)
        warm = WarmStartSampler(policy, list(reversed(range(20))), slots=3)
        warm.draws = draws(3)
        assert warm.polish(warm.draws(rows), condition, rows).equal(plain)
    assert calls == 20


def test_the_last_step_draws_nothing_and_returns_the_clean_chunk(small: Any) -> None:
    policy = small()
    chunk, noise = 2 * torch.randn(1, 4, 2), torch.randn(1, 4, 2)
    alpha = policy.alphas[0]
    clean = ((chunk - (1 - alpha).sqrt() * noise) / alpha.sqrt()).clamp(-1, 1)
    assert posterior_step(chunk, noise, policy.alphas, 0, -1, torch.ones_like(chunk)).allclose(clean, atol=1e-6)
    condition, rows = policy.condition(seen(0.5)), torch.arange(1)
    with torch.no_grad():
        found = WarmStartSampler(policy, [0], slots=1).polish(chunk, condition, rows)
        clean = ((chunk - (1 - alpha).sqrt() * policy.eps(chunk, 0, condition)) / alpha.sqrt()).clamp(-1, 1)
        assert torch.allclose(found, clean, atol=1e-6)


def test_posterior_golden(small: Any) -> None:
    alphas, x, eps = torch.tensor([0.9, 0.5]), torch.tensor([[[1.0]]]), torch.tensor([[[0.5]]])
    clean = (1 - 0.5**0.5 * 0.5) / 0.5**0.5
    kept = 0.5 / 0.9
    mean = (0.9**0.5 * (1 - kept) * clean + kept**0.5 * 0.1 * 1.0) / 0.5
    spread = ((1 - kept) * 0.1 / 0.5) ** 0.5
    assert posterior_step(x, eps, alphas, 1, 0, None).item() == pytest.approx(mean)
    assert posterior_step(x, eps, alphas, 1, 0, torch.full_like(x, 2.0)).item() == pytest.approx(mean + 2 * spread)


def test_calls_are_counted_and_a_reset_touches_its_rows_alone(oracle: Any) -> None:
    policy = oracle()
    warm = WarmStartSampler(policy, [3, 1, 0])
    warm.reset(EVERY)
    plan = warm.predict(seen(0, 0, 0))
    assert (plan.calls.tolist(), policy.asked) == ([100] * 3, 300)
    assert plan.figures["start_level"].tolist() == [100] * 3
    plan = warm.predict(seen(0, 0, 0))
    assert (plan.calls.tolist(), policy.asked) == ([3] * 3, 309)
    assert plan.figures["start_level"].tolist() == [3] * 3
    before = warm.guess.clone()
    warm.reset(torch.tensor([False, True, False]))
    assert warm.guess.equal(before)
    plan = warm.predict(seen(0, 0, 0))
    assert (plan.calls.tolist(), policy.asked) == ([3, 100, 3], 309 + 106)
    twin = WarmStartSampler(oracle(), [0], slots=3)
    twin.reset(EVERY)
    twin.predict(seen(0, 0, 0))
    kept = twin.guess.clone()
    twin.reset(torch.tensor([False, True, False]))
    twin.predict(seen(0), torch.tensor([1]))
    assert twin.guess[[0, 2]].equal(kept[[0, 2]])
    assert not twin.guess[1].equal(kept[1])


def test_clipped_channels_golden() -> None:
    spec = DiscreteSpec(dims=(-1,), mode="clip", factor=10)
    chunk = torch.tensor([[[9.0, 0.7], [9.0, -0.2], [9.0, 0.0]]])
    assert spec.guess(chunk)[0, :, 1].tolist() == pytest.approx([0.1, -0.1, -0.1])
    assert spec.guess(chunk)[0, :, 0].tolist() == [9, 9, 9]
    assert spec.executed(chunk, 5 * chunk)[0].tolist() == [[45, 1], [45, -1], [45, -1]]


def test_scaled_channels_keep_the_guess_and_none_changes_nothing() -> None:
    chunk = torch.tensor([[[9.0, 0.07]]])
    scale = DiscreteSpec(dims=(1,), mode="scale")
    assert scale.guess(chunk).equal(chunk)
    assert scale.executed(chunk, chunk)[0, 0].tolist() == [9, 1]
    assert DiscreteSpec(dims=(1,), mode="none").executed(chunk, chunk).equal(chunk)


def test_an_oracle_of_no_spread_forgets_any_guess(oracle: Any) -> None:
    policy, rows = oracle(mean=0.3, spread=1e-4), torch.arange(1)
    for steps in ([0], [3, 1, 0], [50, 7, 0]):
        found = WarmStartSampler(policy, steps, slots=1).polish(torch.full((1, 4, 2), -0.9), torch.zeros(1, 8), rows)
        assert torch.allclose(found, torch.full_like(found, 0.3), atol=1e-3), steps


def test_few_low_steps_barely_contract_inside_a_broad_mode(oracle: Any) -> None:
    policy = oracle(mean=0.3, spread=0.5)
    assert policy.alphas[:3].tolist() == pytest.approx([0.999369, 0.998253, 0.996652], abs=1e-6)
    warm = WarmStartSampler(policy, [2, 1, 0], slots=1, how={"noise": False})
    found = warm.polish(torch.full((1, 4, 2), 0.9), torch.zeros(1, 8), torch.arange(1))
    assert found.flatten().tolist() == pytest.approx([0.893536] * 8, abs=1e-5)
    assert (found[0, 0, 0].item() - 0.3) / 0.6 == pytest.approx(0.98923, abs=2e-5)


def test_a_fixed_observation_is_a_fixed_point_after_one_iteration(oracle: Any) -> None:
    warm = WarmStartSampler(oracle(mean=0.4, spread=1e-4), [3, 1, 0])
    warm.reset(EVERY)
    plans = [warm.predict(seen(0, 0, 0)).chunk for _ in range(3)]
    assert torch.allclose(plans[1], torch.full_like(plans[1], 0.4), atol=1e-3)
    assert torch.allclose(plans[2], plans[1], atol=1e-3)


def test_a_constant_plan_stays_and_a_linear_one_errs_in_its_last_row_alone() -> None:
    constant = torch.full((1, 5, 2), 0.7)
    assert shifted(constant, 1).equal(constant)
    start, slope = torch.tensor([0.1, -0.2]), torch.tensor([0.03, 0.04])
    plan = (start + torch.arange(6.0)[:, None] * slope)[None]
    error = (shifted(plan[:, :5], 1) - plan[:, 1:]).norm(dim=-1)[0]
    assert error.tolist() == pytest.approx([0, 0, 0, 0, 0.05], abs=1e-6)


def test_spaced_steps_without_noise_are_ddim_on_the_same_levels(small: Any) -> None:
    from pilothouse.control.steps import implicit_step

    policy, rows = small(), torch.arange(3)
    condition, guess = policy.condition(seen(0.1, 0.2, 0.3)), draws(3, 5)(rows)
    with torch.no_grad():
        found = WarmStartSampler(policy, [40, 20, 0], slots=3, how={"transition": "spaced"}).polish(
            guess, condition, rows
        )
        chunk = guess
        for level, lower in ((40, 20), (20, 0), (0, -1)):
            chunk = implicit_step(chunk, policy.eps(chunk, level, condition), policy.alphas, level, lower, 0.0, None)
        adjacent = WarmStartSampler(policy, [40, 20, 0], slots=3).polish(guess, condition, rows)
    assert found.equal(chunk)
    assert not torch.allclose(found, adjacent)
    ddim = DDIM(steps=3, spacing="leading")
    with torch.no_grad():
        levels = ddim.visited(100)
        mine = WarmStartSampler(policy, levels, slots=3, how={"transition": "spaced"})
        assert mine.polish(draws(3)(rows), condition, rows).equal(ddim.sample(policy, condition, draws(3), rows)[0])


def test_renoising_and_fallback_are_switches(oracle: Any) -> None:
    policy, rows = oracle(mean=0.3, spread=0.2), torch.arange(400)
    guess, condition = torch.full((400, 4, 2), 0.3), torch.zeros(400, 8)
    plain, noisy = (
        WarmStartSampler(policy, [30, 0], slots=400, how={"renoise": r, "noise": False}).polish(guess, condition, rows)
        for r in (False, True)
    )
    assert noisy.std() > 5 * plain.std()
    warm = WarmStartSampler(oracle(mean=0.9, spread=1e-4), [1, 0], how={"fallback": 0.5})
    warm.reset(EVERY)
    warm.predict(seen(0, 0, 0))
    warm.guess[1] = -0.9
    plan = warm.predict(seen(0, 0, 0))
    assert plan.calls.tolist() == [2, 102, 2]
    assert plan.figures["start_level"].tolist() == [1, 100, 1]
    assert plan.figures["guess_error"][1].item() == pytest.approx(1.8, abs=0.01)


def test_acting_begins_by_itself_and_takes_the_row_of_the_last_observation(oracle: Any) -> None:
    rows = torch.tensor([0.1, 0.2, 0.3, 0.4])[None, :, None]
    warm = WarmStartSampler(oracle(mean=rows, spread=1e-4), [1, 0])
    assert torch.allclose(warm.act(seen(0, 0)), torch.full((2, 2), 0.2), atol=2e-3)
    assert warm.policy.asked == 200
    warm.act(seen(0, 0))
    assert warm.policy.asked == 204


def test_the_controller_shifts_by_what_it_executes(oracle: Any) -> None:
    actor = RecedingHorizon(oracle(), RTI(steps=(1, 0)), 2, SeedTree(0), 3)
    planner = actor.planner
    assert isinstance(planner, WarmStartSampler)
    assert planner.shift == 3
    actor.reset()
    for _ in range(6):
        actor.act(torch.zeros(2, 4))
    assert actor.effort.calls == 2 * (100 + 2)
    actor.reset(torch.tensor([True, False]))
    for _ in range(3):
        actor.act(torch.zeros(2, 4))
    assert actor.effort.calls == 2 * (100 + 2) + 100 + 2


def test_start_level_golden(oracle: Any) -> None:
    alphas = torch.tensor([0.9, 0.8, 0.5, 0.1])
    assert [level_of_error(alphas, e) for e in (0.0, 0.2, 0.24, 1.0, 50.0)] == [0, 1, 1, 2, 3]
    policy = oracle(mean=0.0, spread=1e-4)
    found = estimate_start_step(
        policy, torch.zeros(50, 2, 4), torch.full((50, 4, 2), 0.2), torch.Generator().manual_seed(0)
    )
    assert found == level_of_error(policy.alphas, 0.04)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": [3, 3, 0]}, "strictly decrease and end at 0"),
        ({"steps": [3, 1]}, "strictly decrease and end at 0"),
        ({"steps": []}, "strictly decrease and end at 0"),
        ({"steps": [100, 0]}, "level 100 and the policy has 100"),
        ({"discrete": DiscreteSpec(dims=(2,))}, r"discrete channels \[2\] of 2"),
        ({"discrete": DiscreteSpec(dims=(-3,))}, r"discrete channels \[-3\] of 2"),
        ({"shift": 4}, "leaves nothing of a chunk of 4"),
        ({"how": {"etta": 1}}, "unknown setting 'etta'.*did you mean 'eta'"),
    ],
)
def test_what_cannot_iterate_is_a_sentence(oracle: Any, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        WarmStartSampler(oracle(), **{"steps": [1, 0], **changes})


def test_slots_must_be_begun(oracle: Any) -> None:
    warm = WarmStartSampler(oracle(), [1, 0], slots=3)
    with pytest.raises(ConfigError, match="predict before reset"):
        warm.predict(seen(0, 0, 0))
    warm.reset(EVERY)
    with pytest.raises(ConfigError, match="4 observations for 3 slots: call reset"):
        warm.predict(seen(0, 0, 0, 0))
    warm.reset(torch.ones(4, dtype=torch.bool))
    assert warm.predict(seen(0, 0, 0, 0)).calls.tolist() == [100] * 4


def test_settings_are_read_from_a_command_line() -> None:
    spec = {"name": "rti", "steps": "3,1,0", "discrete": {"dims": 2}, "first": "ddim"}
    found = RTI.build(spec)
    assert (found.steps, found.discrete.dims, found.first.name) == ((3, 1, 0), (2,), "ddim")
    assert RTI.build(found.model_dump()) == found
    assert RTI.build({"name": "rti", "steps": 0}).steps == (0,)
    with pytest.raises(ConfigError, match=r"steps = \[1, 3, 0\]"):
        RTI.build({"name": "rti", "steps": "1,3,0"})
