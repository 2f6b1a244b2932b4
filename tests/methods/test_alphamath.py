"""AlphaMath as a whole: its rounds teach both heads, restart and resume; its experiment judges by the bars."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pilothouse.core.errors import ConfigError
from pilothouse.core.requests import Value, Valued
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.alphamath import reproduce
from pilothouse.methods.experiments.alphamath.claims import claims
from pilothouse.methods.experiments.alphamath.runs import SMALL
from pilothouse.methods.experiments.alphamath.start import slipping
from pilothouse.policies.causal_lm import VALUE_FILE, CausalPolicy
from pilothouse.policies.heads import HeadSettings
from pilothouse.policies.tiny import tiny_policy
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.tasks.scorer import ValueHead, Verifier
from pilothouse.training.collect import attempt, flatten
from pilothouse.training.config import RunConfig, resolve
from pilothouse.training.loop import Trainer
from pilothouse.training.prepare import prepare_policy
from pilothouse.training.run import resume, train
from pilothouse.training.scoring import scored_runner
from pilothouse.training.sources import Source

pytestmark = pytest.mark.usefixtures("fresh_cache")

TABLE: dict[str, Any] = {
    "task": {"name": "chain-arithmetic", "chain_steps": 1, "operations": "+", "train_size": 50, "test_size": 12},
    "policy": {"size": "nano", "warm_start": {"epochs": 30.0, "solution_loss": 0.0, "batch_tokens": 128}},
    "program": {"n_sims": 6, "n_children": 3},
    "training": {"steps": 2, "prompts": 8, "eval_problems": 8, "checkpoint_every": 1, "minibatches": 2},
}


def config(**changes: Any) -> RunConfig:
    return resolve("alphamath", find_method("alphamath").policy_gradient, TABLE, changes)


def trainer(settings: RunConfig, folder: Path) -> Trainer:
    policy = prepare_policy(settings.policy, settings.task, settings.seed, Progress(), value_head=settings.head)
    settings.training.learning_rate = 1e-3
    return Trainer(settings, policy, RunStore(folder), Progress())


def weights(policy: CausalPolicy) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in policy.trainable_parameters().items()}


def test_the_recipe_is_the_papers() -> None:
    recipe, search = find_method("alphamath").policy_gradient, find_method("alphamath").program
    assert recipe.head == HeadSettings(squash="tanh", dropout=0.1)
    assert recipe.needs == {"values_after"}
    assert not recipe.single_update
    assert search.model_dump() | {"beams": 3, "children": 5} == search.model_dump()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"objective": "weighted-sft"}, "asks the policy's value head, which nothing trains"),
        ({"credit": "gae"}, "mean the values of different states"),
        ({"objective": "weighted-sft + 0.1*value"}, "mean the values of different states"),
        ({"credit": "grpo"}, "trains a value head but no credit uses one"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        config(**changes)


def test_a_round_teaches_both_heads_and_the_next_begins_where_the_first_did(tmp_path: Path) -> None:
    made = trainer(config(), tmp_path)
    start = weights(made.policy)
    row = made.step(0)
    first = weights(made.policy)
    assert 0 < row["imitated"] < 1
    assert row["step_value_loss"] > 0
    changed = {name.split(".")[0] for name in start if not torch.equal(start[name], first[name])}
    assert changed == {"model", "value_head"}
    made.updater.update = lambda *_: {}  # type: ignore[method-assign]
    made.updater.before = None
    made.step(1)
    assert all(torch.equal(start[name], weight) for name, weight in weights(made.policy).items())


def test_without_restart_a_round_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    made = trainer(config(training={"restart": False}), tmp_path)
    made.step(0)
    first = weights(made.policy)
    made.updater.update = lambda *_: {}  # type: ignore[method-assign]
    made.updater.before = None
    made.step(1)
    assert all(torch.equal(first[name], weight) for name, weight in weights(made.policy).items())


def test_a_resumed_run_has_the_same_policy_and_value_head(tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config(), whole, Progress())
    shutil.copytree(whole, broken)
    shutil.rmtree(broken / "checkpoints" / "step-000002")
    shutil.rmtree(broken / "model")
    resume(broken, None, Progress())
    for name in ("model.safetensors", VALUE_FILE):
        mine, theirs = load_file(whole / "model" / name), load_file(broken / "model" / name)
        assert all(torch.equal(mine[key], theirs[key]) for key in mine)
    head = load_file(whole / "model" / VALUE_FILE)
    assert head["weight"].abs().sum() > 0
    loaded = Source.find(str(whole)).policy(config().task, Progress(), value_head=True)
    assert loaded.value_head is not None
    assert loaded.value_head.settings == HeadSettings(squash="tanh", dropout=0.1)


def test_every_path_has_a_target_at_the_end_of_each_step(tmp_path: Path) -> None:
    made = trainer(config(), tmp_path)
    ready = made.config.program
    problems = made.task.problems("train")[:6]
    found = attempt(made.runner, ready, made.policy, made.task, problems, SeedTree(3))
    episodes = [e for a in found for e in a.result.episodes]
    assert episodes
    for episode in episodes:
        assert episode.segments[-1].stop == len(episode.tokens)
        assert all(-1 <= segment.value <= 1 for segment in episode.segments)
        assert episode.score is not None
        right = episode.score.reward > 0 and not episode.truncated
        assert episode.segments[-1].value == (1.0 if right else -1.0)


def test_the_value_head_learns_its_targets_where_the_search_will_ask(tmp_path: Path) -> None:
    """Arbitrary targets, one for each of a handful of states: learnt by heart and read through the engine.

    A target one token off, or a state that the search reads elsewhere, would leave them unlearnt.
    """
    made = trainer(config(objective="step-value", training={"epochs": 50, "minibatches": 1}), tmp_path)
    made.config.training.learning_rate = 5e-3
    attempts = attempt(
        made.runner, made.config.program, made.policy, made.task, made.task.problems("train")[:4], SeedTree(5)
    )
    rollouts = Rollouts.from_episodes(*flatten(attempts), made.length_limit)
    targets = torch.full_like(rollouts.segment_values, torch.nan)
    states: dict[tuple[int, ...], float] = {}
    for row, episode in enumerate(rollouts.episodes):
        for segment in episode.segments:
            state = episode.prompt + episode.tokens[: segment.stop]
            targets[row, segment.stop - 1] = states.setdefault(state, 0.8 if len(states) % 2 else -0.8)
    assert len(states) >= 6
    rollouts = made.updater.prepare(rollouts.replace(segment_values=targets))
    made.updater.update(rollouts, torch.zeros(targets.shape), 0, SeedTree(0))
    made.engine.policy_changed()
    for ticket, state in enumerate(states):
        made.engine.submit(ticket, Value(state))
    found: dict[int, float] = {}
    while len(found) < len(states):
        found |= {ticket: reply.value for ticket, reply, _ in made.engine.poll() if isinstance(reply, Valued)}
    assert all(abs(found[at] - target) < 0.4 for at, target in enumerate(states.values()))


def test_outcomes_come_from_the_verifier_and_values_from_the_head() -> None:
    task = ChainArithmetic(chain_steps=1, train_size=10, test_size=5)
    policy = tiny_policy(task.character_set, 0, "nano", value_head=True)
    for scorer in (ValueHead(), Verifier()):
        runner = scored_runner(LocalEngine(policy), scorer, task)
        program = find_method("alphamath").policy_gradient.program.model_copy(update={"n_sims": 2})
        [found] = attempt(runner, program, policy, task, task.problems("train")[:1], SeedTree(0))
        assert found.result.trace["nodes"][0]["visits"] >= 1


def test_the_start_goes_on_from_its_own_mistakes() -> None:
    task = ChainArithmetic(train_size=200, test_size=100)
    problems = task.problems("train")
    assert [slipping(p, 0.0, 10, SeedTree(0)).solution for p in problems] == [p.solution for p in problems]
    checks = [
        step
        for i, p in enumerate(problems)
        for step in task.check_steps(p, slipping(p, 0.25, 10, SeedTree(0) / i).solution)
    ]
    assert 0.70 < sum(checks) / len(checks) < 0.80
    assert len(checks) == 6 * len(problems)


def figures(accuracy: dict[str, float], area: float) -> dict[str, Any]:
    names = ("sampled", "greedy", "SBS(3,5)", "SBS(3,5), noise", "maj@5", "maj at the tokens of SBS(3,5)")
    made: dict[str, Any] = {name: {"accuracy": accuracy.get(name, 0.5), "tokens": 100.0, "votes": 9} for name in names}
    return {"0": {"sampled": {"accuracy": 0.4}}, "2": {**made, "value": {"auc": area}}}


def test_claims_pass_and_fail_by_the_bars() -> None:
    good = {"sampled": 0.55, "SBS(3,5)": 0.9, "SBS(3,5), noise": 0.56, "maj@5": 0.8}
    assert all(claim.passed for claim in claims([figures(good, 0.85)] * 2, "2"))
    bad = {"sampled": 0.49, "SBS(3,5)": 0.58, "SBS(3,5), noise": 0.53, "maj@5": 0.6}
    assert not any(claim.passed for claim in claims([figures(bad, 0.79)] * 2, "2"))
    assert "maj@9 50.0 %" in claims([figures(good, 0.85)] * 2, "2")[3].note


def test_the_experiment_has_the_size_its_bars_were_set_for() -> None:
    made = SMALL.config(0)
    assert (SMALL.questions, SMALL.held_out, SMALL.rounds, SMALL.passes, SMALL.seeds) == (400, 200, 2, 3, 3)
    assert made.program.model_dump() | {"n_sims": 16, "n_children": 4} == made.program.model_dump()
    assert made.training.restart
    with pytest.raises(ConfigError, match="--scale small"):
        reproduce("gpu", Path("unused"), Progress())
