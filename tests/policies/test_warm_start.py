"""Warm start learns the solution and its end; the cache gives the same weights or trains again."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import Problem
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start, content_key
from pilothouse.policies.warm_start import WarmStart, schedule, warm_start

CHARACTERS = "0123456789+=\n"
PROBLEMS = [Problem(f"{a}{b}", f"{a}+{b}=", solution=f"{a + b}\n") for a in range(5) for b in range(5)]
QUICK = WarmStart(epochs=2, batch_tokens=64, held_out=0.1)


def nano(seed: int = 0) -> CausalPolicy:
    return tiny_policy(CHARACTERS, seed, "nano")


def weights(policy: CausalPolicy) -> torch.Tensor:
    return torch.cat([weight.detach().flatten() for weight in policy.trainable_parameters().values()])


def test_learns_small_sums_by_heart() -> None:
    made = nano()
    history = warm_start(made, PROBLEMS, WarmStart(epochs=150, batch_tokens=256, held_out=0.0, lr=1e-2), seed=0)
    assert math.isnan(history.held_out_loss)
    assert history.losses[-1] < 0.05 < 1.0 < history.losses[0]
    solution = (*made.codec.encode("7\n"), *made.end)
    tokens = torch.tensor([solution])
    likely = made.token_scores([made.codec.encode("3+4=")], tokens, torch.ones_like(tokens).bool()).logprobs
    assert likely.exp().min() > 0.8


def test_prompt_carries_no_loss() -> None:
    made = nano()
    history = warm_start(made, PROBLEMS[:1], WarmStart(epochs=1, held_out=0.0), seed=0)
    before = nano()
    tokens = torch.tensor([(*before.codec.encode("0\n"), *before.end)])
    scores = before.token_scores([before.codec.encode("0+0=")], tokens, torch.ones_like(tokens).bool())
    assert history.losses[0] == pytest.approx(-scores.logprobs.mean().item(), abs=1e-6)


def test_same_seed_same_weights_another_seed_others() -> None:
    one, same, other = nano(), nano(), nano()
    for made, seed in ((one, 0), (same, 0), (other, 1)):
        warm_start(made, PROBLEMS, QUICK, seed=seed)
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))


def test_stops_early_at_the_target() -> None:
    settings = WarmStart(epochs=1000, batch_tokens=64, held_out=0.2, target_loss=100.0)
    assert len(warm_start(nano(), PROBLEMS, settings, seed=0).losses) == 50


def test_stops_early_once_whole_solutions_are_likely_enough() -> None:
    """The bar is a solution's loss in nats: the loss a token times the tokens of a solution."""
    settings = {"epochs": 1000, "batch_tokens": 64, "held_out": 0.2}
    assert len(warm_start(nano(), PROBLEMS, WarmStart(**settings, solution_loss=1e4), seed=0).losses) == 50
    history = warm_start(nano(), PROBLEMS, WarmStart(**{**settings, "epochs": 20}, solution_loss=1e-9), seed=0)
    assert len(history.losses) > 50


def test_a_time_limit_ends_it() -> None:
    history = warm_start(nano(), PROBLEMS, WarmStart(epochs=1e4, seconds=0.2), seed=0)
    assert 0 < len(history.losses) < 1e4


def test_solutions_that_do_not_fit_are_counted() -> None:
    long = Problem("long", "1+1=", solution="1" * 300)
    assert warm_start(nano(), [*PROBLEMS, long], QUICK, seed=0).skipped == 1
    with pytest.raises(ConfigError, match="none of 2 problems has a worked solution"):
        warm_start(nano(), [long, Problem("bare", "1+1=")], QUICK, seed=0)


def test_schedule_rises_holds_and_falls() -> None:
    assert [schedule(done, 0.1, 0.5) for done in (0.05, 0.3, 0.5, 0.75, 1.0)] == pytest.approx(
        [0.51, 1.0, 1.0, 0.5, 0.0]
    )
    assert schedule(0.0, 0.1, 0.5) > 0


def test_second_run_takes_the_weights_from_the_cache(tmp_path: Path) -> None:
    first, second = nano(), nano()
    made = cached_warm_start(first, PROBLEMS, QUICK, seed=0, cache=tmp_path)
    found = cached_warm_start(
        second, PROBLEMS, QUICK, seed=0, cache=tmp_path, progress=lambda *_: pytest.fail("trained")
    )
    assert (made.cached, found.cached) == (False, True)
    assert found.losses == made.losses
    assert torch.equal(weights(first), weights(second))
    assert not list((tmp_path / "warm-start").glob(".draft-*"))


@pytest.mark.parametrize("name", ["weights.safetensors", "record.json"])
@pytest.mark.parametrize("damage", ["cut", "changed", "gone"])
def test_a_damaged_entry_is_made_again(tmp_path: Path, name: str, damage: str) -> None:
    first = nano()
    cached_warm_start(first, PROBLEMS, QUICK, seed=0, cache=tmp_path)
    (file,) = tmp_path.rglob(name)
    content = file.read_bytes()
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(
            content[: len(content) // 2] if damage == "cut" else content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        )
    again, third = nano(), nano()
    history = cached_warm_start(again, PROBLEMS, QUICK, seed=0, cache=tmp_path)
    if (name, damage) != ("record.json", "changed"):  # which may still be JSON
        assert not history.cached
    assert torch.equal(weights(again), weights(first))
    assert cached_warm_start(third, PROBLEMS, QUICK, seed=0, cache=tmp_path).cached
    assert torch.equal(weights(third), weights(first))


def test_key_changes_with_all_that_decides_the_weights() -> None:
    base = (nano(), PROBLEMS, QUICK, 0)
    changes = [
        (nano(1), PROBLEMS, QUICK, 0),
        (tiny_policy(CHARACTERS + "-", 0, "nano"), PROBLEMS, QUICK, 0),
        (nano(), PROBLEMS[1:], QUICK, 0),
        (nano(), [*PROBLEMS[:-1], Problem("x", PROBLEMS[-1].prompt, solution="9\n")], QUICK, 0),
        (nano(), PROBLEMS, QUICK.model_copy(update={"lr": 1e-3}), 0),
        (nano(), PROBLEMS, QUICK, 1),
    ]
    assert content_key(*base) == content_key(nano(), list(PROBLEMS), QUICK.model_copy(), 0)
    assert len({content_key(*case) for case in [base, *changes]}) == 1 + len(changes)


def test_a_policy_with_a_value_head_has_a_key_of_its_own() -> None:
    """The head's bias is a single number without dimensions."""
    plain, headed = (tiny_policy("0123456789+=", 0, "nano", value_head=head) for head in (False, True))
    keys = {content_key(policy, [], WarmStart(), 0) for policy in (plain, headed)}
    assert len(keys) == 2


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    made = nano()
    with pytest.warns(UserWarning, match="set PILOTHOUSE_CACHE"):
        history = cached_warm_start(made, PROBLEMS, QUICK, seed=0, cache=blocked)
    assert history.losses
    assert not torch.equal(weights(made), weights(nano()))


def test_cache_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTHOUSE_CACHE", str(tmp_path))
    cached_warm_start(nano(), PROBLEMS, QUICK, seed=0)
    assert list(tmp_path.rglob("weights.safetensors"))
