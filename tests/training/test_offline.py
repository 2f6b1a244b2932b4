"""A run that learns offline: its folder, its resumption bit for bit, its evaluation, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.control.learner import Learner
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.core.errors import ConfigError, DataError, PilothouseError, RunError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.drift import Drift
from pilothouse.tasks.minari_data import write_minari
from pilothouse.training.offline_config import OfflineConfig
from pilothouse.training.offline_course import evaluate_run
from pilothouse.training.run import resume, train

NANO: dict[str, Any] = {
    "task": "drift",
    "learner": {"hidden": [8], "batch": 16},
    "diffusion": {"network": {"width": 8, "blocks": 1}, "length": 8, "batch": 4},
    "synthetic": {"trajectories": 3, "length": 5, "refresh_every": 4, "sampler": {"steps": 2}},
    "training": {
        "steps": 6,
        "model_steps": 2,
        "batches": 2,
        "episodes": 6,
        "checkpoint_every": 1,
        "keep_checkpoints": 6,
        "eval_every": 5,
        "eval_episodes": 3,
    },
}


def nano(method: str = "policy-guided-diffusion", **changes: Any) -> OfflineConfig:
    found = configured(method, None, {**NANO, **changes})
    assert isinstance(found, OfflineConfig)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; read it, or copy it before changing anything."""
    run = tmp_path_factory.mktemp("offline") / "run"
    train(nano(), run, Progress())
    return run


def test_a_run_leaves_everything(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    assert result["finished"]
    found = result["evaluation"]
    assert found["success"] is None, "the task does not say"
    assert found["return"]["low"] < found["return"]["estimate"] < 0
    assert found["episodes"] == 3
    assert (finished / result["figure"]).is_file()
    assert (finished / result["picture"]).is_file()
    rows = list(RunStore.open(finished).metrics())
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert all("loss/actor" not in row for row in rows[:2]), "the trajectory model comes first"
    assert all({"loss/actor", "loss/critic"} <= row.keys() for row in rows[2:])
    assert "held_out" in rows[4]
    assert TrajectoryDiffusion.load(finished / "model" / "diffusion").columns.width == 6
    assert Learner.load(finished / "model").step == 8


@pytest.mark.parametrize("step", [1, 2, 4])  # in the model's part, between, and after a guided lot
def test_resumed_run_equals_uninterrupted_run(finished: Path, tmp_path: Path, step: int) -> None:
    broken = tmp_path / "run"
    shutil.copytree(finished, broken)
    for path in (broken / "checkpoints").glob("step-*"):
        if path.name != f"step-{step:06d}":
            shutil.rmtree(path)
    shutil.rmtree(broken / "model")
    resume(broken, None, Progress())
    seen = torch.randn(5, 2, generator=torch.Generator().manual_seed(0))
    mine, theirs = (Learner.load(run / "model").act(seen) for run in (broken, finished))
    assert torch.equal(mine, theirs)
    ours, others = (
        [{k: v for k, v in row.items() if k != "seconds"} for row in RunStore.open(run).metrics()]
        for run in (broken, finished)
    )
    assert ours == others


@pytest.mark.parametrize("method", ["td3-bc", "iql"])
def test_learners_run_without_a_trajectory_model(method: str, tmp_path: Path) -> None:
    training = {**NANO["training"], "model_steps": 0, "steps": 2, "eval_every": 0}
    train(nano(method, training=training), tmp_path / "run", Progress())
    assert not (tmp_path / "run" / "model" / "diffusion").exists()
    assert Learner.load(tmp_path / "run" / "model").name == method


def test_a_finished_run_is_measured_again(finished: Path) -> None:
    found = evaluate_run(RunStore.open(finished), {}, 4, seed=1)
    assert found["episodes"] == 4
    assert found["return"]["estimate"] < 0
    assert Path(found["picture"]).is_file()
    longer = evaluate_run(RunStore.open(finished), {"task": {"steps": 80}}, 4, seed=1)
    assert longer["length"] == 80
    with pytest.raises(ConfigError, match="sees 2 and acts with 2 numbers, task 'reach' shows 4"):
        evaluate_run(RunStore.open(finished), {"task": "reach"}, 4, seed=1)


def test_an_action_that_is_not_finite_stops_and_saves_the_episode(finished: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(finished, broken)
    learner = Learner.load(broken / "model")
    with torch.no_grad():
        learner._networks["actor"].body.biases[-1].fill_(float("nan"))  # pyright: ignore
    learner.save(broken / "model")
    with pytest.raises(RunError, match="is not finite"):
        evaluate_run(RunStore.open(broken), {}, 2, seed=0)
    assert any((broken / "failed-episode").iterdir())


def test_minari_data_are_learnt_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("minari", reason="needs the extra 'control'")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "minari"))
    write_minari("drift/wavering-v0", Drift().demonstrations(6, SeedTree(1)), Drift())
    training = {**NANO["training"], "model_steps": 0, "steps": 1}
    config = nano("td3-bc", task={"name": "drift", "data": "minari:drift/wavering-v0"}, training=training)
    assert "minari:drift/wavering-v0" in train(config, tmp_path / "run", Progress()).result["source"]
    missing = nano("td3-bc", task={"name": "drift", "data": "minari:drift/none-v0"}, training=training)
    with pytest.raises(DataError, match="no Minari data set 'drift/none-v0'"):
        train(missing, tmp_path / "other", Progress())
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"model_steps": 6, "steps": 6}, "leaves none of 6 steps to the learner"),
        ({"learning_rate": 0.1}, r"training.learning_rate is not read .* --learner.learning_rate"),
    ],
)
def test_settings_that_cannot_work_are_refused(training: dict[str, Any], words: str) -> None:
    with pytest.raises(PilothouseError, match=words):
        nano(training=training)


def test_episodes_of_another_run_do_not_continue_it(finished: Path, tmp_path: Path) -> None:
    broken = tmp_path / "run"
    shutil.copytree(finished, broken)
    config = (broken / "config.toml").read_text()
    (broken / "config.toml").write_text(config.replace("episodes = 6", "episodes = 7"))
    with pytest.raises(RunError, match="other statistics than those this run was trained on"):
        resume(broken, None, Progress())


def test_guidance_is_towards_the_learner(finished: Path) -> None:
    data = OfflineData.of(Drift(), Drift().demonstrations(6, SeedTree(0)))
    learner = Learner.load(finished / "model")
    model = TrajectoryDiffusion.load(finished / "model" / "diffusion")
    assert torch.equal(learner.mean(data.transitions.state), learner.act(data.transitions.state))
    assert model.sample(2, torch.Generator().manual_seed(0), policy=learner, length=9).actions.shape == (2, 9, 2)
