"""Policy-guided diffusion's experiments run, continue, and can fail; its parts are the ones it says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.control.learner import Learner
from pilothouse.core.cards import Verdict
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments import policy_guided_diffusion as experiment
from pilothouse.methods.experiments.offline_gain import reproduce as offline_gain
from pilothouse.methods.experiments.policy_guided_diffusion.behaviours import WORLDS
from pilothouse.methods.experiments.policy_guided_diffusion.claims import agent_claims, harder_claims, system_claims
from pilothouse.reports.progress import Progress
from pilothouse.tasks.drift import Drift
from pilothouse.training.offline_recipe import OfflineLearning


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("policy-guided-diffusion")
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 9 + 1 + 4
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)
    monkeypatch.setattr(experiment, "measure", None)  # everything is read back
    monkeypatch.setattr(experiment, "compare", None)
    assert method.reproduce("smoke", tmp_path, Progress()).tables == evidence.tables


@pytest.mark.parametrize("name", ["td3-bc", "iql"])
def test_baselines_have_an_experiment(name: str, tmp_path: Path) -> None:
    evidence = offline_gain(name, "smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert (tmp_path / evidence.figure).is_file()


@pytest.mark.parametrize("name", ["policy-guided-diffusion", "td3-bc", "iql"])
def test_there_is_no_experiment_for_a_gpu(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use --scale small"):
        find_method(name).reproduce("gpu", tmp_path, Progress())


def test_recipes_are_the_papers() -> None:
    recipes = {name: find_method(name).recipe for name in ("policy-guided-diffusion", "td3-bc", "iql")}
    assert all(isinstance(recipe, OfflineLearning) for recipe in recipes.values())
    table: dict[str, Any] = {name: recipe.model_dump(mode="json") for name, recipe in recipes.items() if recipe}
    guided = table["policy-guided-diffusion"]
    assert guided["training"]["model_steps"] > 0
    assert table["td3-bc"]["training"]["model_steps"] == table["iql"]["training"]["model_steps"] == 0
    assert guided["synthetic"]["real_fraction"] == 16 / 256
    assert guided["synthetic"]["guidance"]["cosine"] == 0.3
    assert guided["learner"] == table["td3-bc"]["learner"]
    learner = table["td3-bc"]["learner"]
    assert (learner["alpha"], learner["noise"], learner["noise_clip"], learner["delay"]) == (2.5, 0.2, 0.5, 2)
    assert (learner["polyak"], learner["discount"], learner["learning_rate"]) == (0.005, 0.99, 3e-4)
    learner = table["iql"]["learner"]
    assert (learner["tau"], learner["beta"], learner["cap"]) == (0.7, 3.0, 100.0)
    assert learner["hidden"] == [256, 256]


def test_the_true_step_of_the_drifting_point() -> None:
    found = Drift.true_step(torch.tensor([[0.5, 1.0]]), torch.tensor([[1.0, -2.0]]))
    # x + 0.1 y + 0.15;  y + 0.1 (-sin 1 - 0.3) - 0.15, the push cut off at -1
    assert found[0].tolist() == pytest.approx([0.75, 1.0 - 0.1 * (0.841471 + 0.3) - 0.15])
    recorded = Drift(steps=5).demonstrations(3, SeedTree(0)).trajectories
    for one in recorded:
        assert len(one) == 5
        assert torch.allclose(one.observations[1:], Drift.true_step(one.observations[:-1], one.actions))
        assert not one.terminated


@pytest.mark.parametrize("world", ["drift", "Pendulum-v1", "InvertedPendulum-v5"])
def test_behaviour_policies_are_of_middling_skill(world: str) -> None:
    pytest.importorskip("gymnasium", reason="needs the extra 'control'")
    data = WORLDS[world].record(300, SeedTree(0))
    assert 300 <= len(data.transitions) <= 500
    returns = torch.stack([one.rewards.sum() for one in data.episodes.trajectories])
    low, high = {"drift": (-60, -25), "Pendulum-v1": (-1300, -500), "InvertedPendulum-v5": (20, 200)}[world]
    assert low < float(returns.mean()) < high
    assert torch.equal(WORLDS[world].record(300, SeedTree(0)).transitions.rows, data.transitions.rows)


def system(**changes: float) -> dict[str, Any]:
    a = {"0": 0.7, "0.3": 0.5, "1": 0.419, "3": 0.139, "10": 0.01}
    found: dict[str, Any] = {k: {"A": v, "E": 1e-3, "E_last": 1e-3} for k, v in a.items()}
    found["0"]["E"], found["1"]["E_last"], found["3"]["E_last"] = 1e-4, 3e-3, 5e-3
    found |= {"data": {"A": 0.7}, "world": {"E": 1e-3, "E_first": 5e-4, "E_last": 5e-3}}
    for place, value in changes.items():
        setting, figure = place.split("__")
        found[setting.removeprefix("at_").replace("_", ".")][figure] = value
    return found


@pytest.mark.parametrize(
    ("change", "broken"),
    [
        ({}, []),
        ({"at_0_3__A": 0.7}, [0]),
        ({"data__A": 0.6}, [1]),
        ({"at_1__A": 0.43}, [2]),
        ({"at_3__A": 0.15}, [3]),
        ({"at_0__E": 0.9e-4}, [4]),
        ({"world__E": 0.9e-3}, [5]),
        ({"world__E_first": 6e-4}, [6]),
        ({"at_1__E_last": 3.1e-3}, [7]),
        ({"at_3__E_last": 5.1e-3}, [8]),
    ],
)
def test_bars_on_the_known_system(change: dict[str, float], broken: list[int]) -> None:
    found = system_claims([system(**change)] * 2)
    assert [i for i, one in enumerate(found) if not one.passed] == broken


def test_the_harder_bar_takes_the_least_guidance_that_is_on_policy_enough() -> None:
    run = {
        "0": {"A": 1.0, "E": 1.0},
        "1": {"A": 0.31, "E": 1.0},
        "2": {"A": 0.3, "E": 2.0},
        "4": {"A": 0.1, "E": 9.0},
        "world": {"E": 3.0},
    }
    (found,) = harder_claims([run] * 2)
    assert found.measured == pytest.approx(1.5)
    assert found.passed
    (found,) = harder_claims([{**run, "world": {"E": 2.9}}] * 2)
    assert not found.passed
    (found,) = harder_claims([{**run, "2": {"A": 0.4, "E": 2.0}, "4": {"A": 0.35, "E": 1.0}}] * 2)
    assert not found.passed, "no guidance is on-policy enough"


def test_bars_on_learners() -> None:
    arms = {"recorded": 1.0, "unguided": 2.0, "guided": 2.0}
    worse = {"recorded": 3.0, "unguided": 1.0, "guided": 2.0}
    found = agent_claims({"drift": [{"behaviour": 0.0, "TD3+BC": arms, "IQL": worse}] * 2})
    assert [one.passed for one in found] == [True, True, False, True]
    assert [one.measured for one in found] == [1.0, 0.0, -1.0, 1.0]


def test_learners_of_the_experiment_differ_in_nothing_but_the_algorithm() -> None:
    from pilothouse.methods.experiments.policy_guided_diffusion.agents import LEARNERS

    shared = set(Learner.model_fields)
    tables = [{k: v for k, v in learner.model_dump().items() if k in shared} for learner in LEARNERS.values()]
    assert tables[0] == tables[1]
