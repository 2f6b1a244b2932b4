"""EBT-Policy: its runs, its estimator, its experiment, and bars that can be missed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pilothouse.core.cards import Verdict
from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured, find_method
from pilothouse.methods.ebt_estimator import EBTPolicy
from pilothouse.methods.experiments import ebt_policy
from pilothouse.methods.experiments.ebt_policy.arms import ENERGY, EQUAL, LONGER, Design
from pilothouse.methods.experiments.ebt_policy.claims import energy_claims, success_claims
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.reach import Reach
from pilothouse.training.action_config import ActionConfig
from pilothouse.training.action_course import evaluate_run
from pilothouse.training.action_recipe import ActionPolicy
from pilothouse.training.run import resume, train

NANO: dict[str, Any] = {
    "task": "reach",
    "policy": {"horizon": 8, "dynamics": {"alpha": 16.0}},
    "objective": {"steps": 2, "extra": 1},
    "sampler": {"max_steps": 3},
    "execute": 4,
    "training": {"steps": 6, "demonstrations": 5, "batch": 8, "checkpoint_every": 2, "eval_episodes": 4},
}
NETWORKS = ({"name": "energy-mlp", "width": 16, "blocks": 1}, {"name": "energy-transformer", "width": 16, "blocks": 1})


def nano(network: dict[str, Any], **changes: Any) -> ActionConfig:
    found = configured("ebt-policy", None, {**NANO, "policy": {**NANO["policy"], "network": network}, **changes})
    assert isinstance(found, ActionConfig)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of a transformer, whose dropout is drawn too."""
    run = tmp_path_factory.mktemp("energy") / "run"
    train(nano(NETWORKS[1]), run, Progress())
    return run


def test_resumed_run_equals_uninterrupted_run(finished: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(finished, broken)
    for path in (broken / "checkpoints").glob("step-*"):
        if path.name != "step-000004":
            shutil.rmtree(path)
    shutil.rmtree(broken / "model")
    resume(broken, None, Progress())
    mine, theirs = (load_file(run / "model" / "model.safetensors") for run in (broken, finished))
    assert all(mine[name].equal(theirs[name]) for name in theirs)
    runs = [
        [(row["loss"], row["energy_last"], row["unrolled"]) for row in RunStore.open(run).metrics()]
        for run in (broken, finished)
    ]
    assert runs[0] == runs[1]
    assert {unrolled for _, _, unrolled in runs[0]} <= {2.0, 3.0}


def test_descents_are_set_at_evaluation(finished: Path, tmp_path: Path) -> None:
    store = RunStore.open(finished)
    assert store.read_result()["evaluation"]["calls_per_plan"] <= 3
    two = {"sampler": {"max_steps": 2, "g_min": 0.0}}
    found = evaluate_run(store, two, 3, 0)
    assert (found["calls_per_plan"], found["steps"], found["sampler"]["name"]) == (2, 2, "energy")
    assert found["energy"] == evaluate_run(store, two, 3, 0)["energy"]
    assert evaluate_run(store, {"sampler": {**two["sampler"], "best_of": 4}}, 3, 0)["calls_per_plan"] == 8
    with pytest.raises(ConfigError, match="sampler 'ddim' works with policy 'diffusion', not 'energy'"):
        evaluate_run(store, {"sampler": "ddim"}, 3, 0)
    with pytest.raises(ConfigError, match=r"unknown setting 'max_step'.*did you mean 'max_steps'"):
        evaluate_run(store, {"sampler": {"max_step": 2}}, 3, 0)
    stretched = nano(NETWORKS[0], policy={**NANO["policy"], "divisors": {0: 0.01}})
    with pytest.raises(DataError, match=r"lower policy\.divisors"):
        train(stretched, tmp_path / "other", Progress())


def test_a_policy_is_fitted_and_asked_in_python() -> None:
    recipe = ActionPolicy.model_validate(
        nano(NETWORKS[0]).model_dump(exclude={"kind", "task", "method", "seed", "sinks"})
    )
    shown = Reach().demonstrations(4, SeedTree(0))
    asked = EBTPolicy(4, 2, recipe)
    seen = torch.cat([one.observations for one in shown.trajectories])[:6].reshape(3, 2, 4)
    with pytest.raises(ConfigError, match=r"call fit\(demonstrations\) first"):
        asked.act(seen)
    found = asked.fit(shown).act(seen, max_steps=2, g_min=0.0)
    assert found.actions.shape == (3, 4, 2)
    assert found.energy.shape == (3,)
    assert found.steps.tolist() == [2, 2, 2]
    assert not found.actions.requires_grad
    low, high = shown.actions.low, shown.actions.high
    assert ((found.actions >= low - 1e-5) & (found.actions <= high + 1e-5)).all()
    again = EBTPolicy(4, 2, recipe).fit(shown).act(seen, max_steps=2, g_min=0.0)
    assert torch.equal(found.actions, again.actions)
    with pytest.raises(ConfigError, match=r"give EBTPolicy\(4, 2\)"):
        EBTPolicy(5, 2, recipe).fit(shown)
    with pytest.raises(ConfigError, match="give the last 2 observations"):
        asked.act(seen[:, :1])
    with pytest.raises(ConfigError, match="unknown setting 'steps' in sampler 'energy'"):
        asked.act(seen, steps=2)


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("ebt-policy")
    nano = Design(updates=1, demonstrations=3, episodes=1, states=6, repeats=1, seeds=1)
    monkeypatch.setitem(ebt_policy.SCALES, "smoke", nano)
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 8
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)
    monkeypatch.setattr(ebt_policy.arms, "_pushed", None)  # everything is read back
    assert method.reproduce("smoke", tmp_path, Progress()).tables == evidence.tables
    with pytest.raises(ConfigError, match="use --scale small"):
        method.reproduce("gpu", tmp_path, Progress())


def test_arms_differ_in_policy_loss_and_sampler_alone() -> None:
    design, arms = Design(), ebt_policy.arms.ARMS
    tables = {name: design.config(arm, 1).model_dump(mode="json") for name, arm in arms.items()}
    base = tables[ENERGY]
    assert base["training"]["steps"] == tables[EQUAL]["training"]["steps"] == tables[LONGER]["training"]["steps"] / 4
    for name, table in tables.items():
        training = {key for key in base["training"] if base["training"][key] != table["training"][key]}
        assert training <= {"steps"}, name
        changed = {key for key in base if base[key] != table[key]}
        assert changed <= {"method", "policy", "objective", "sampler", "training", "task"}, name
        assert table["task"]["modes"] == ("two" if "two modes" in name else "one")


def test_bars_are_those_of_the_claims() -> None:
    def energy(two: float, four: float, twenty: float) -> list[dict[str, Any]]:
        return [{"samplers": {f"EBT, {k} steps": {"success": s} for k, s in ((2, two), (4, four), (20, twenty))}}] * 2

    def diffusion(ddpm: float, ddim: float) -> list[dict[str, Any]]:
        return [{"samplers": {"DDPM-100": {"success": ddpm}, "DDIM-2": {"success": ddim}}}] * 2

    good = {ENERGY: energy(0.5, 0.25, 0.15), LONGER: diffusion(0.3, 0.3), EQUAL: diffusion(0.35, 0.0)}
    bad = {ENERGY: energy(0.495, 0.245, 0.14), LONGER: diffusion(0.3, 0.3), EQUAL: diffusion(0.35, 0.0)}
    assert [c.passed for c in success_claims(good)] == [True] * 4
    assert [c.passed for c in success_claims(bad)] == [False] * 4

    def figures(fell: float, rank: float, auroc: float) -> list[dict[str, Any]]:
        return [{"fell": fell, "rank": rank, "auc": {"shifted": auroc, "noisy": 0.5}, "energies": [0.0, -1.0]}] * 2

    for values, ratio, passed in (((0.95, 0.3, 0.65), 0.1, True), ((0.94, 0.29, 0.64), 0.11, False)):
        times = [{"EBT, 2 steps": ratio, "DDPM-100": 1.0}] * 2
        assert [c.passed for c in energy_claims(figures(*values), times)] == [passed] * 4
