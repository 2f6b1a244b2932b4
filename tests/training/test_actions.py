"""A run that learns to act: its folder, its resumption bit for bit, its evaluation, and what it refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pilothouse.control.receding import Effort
from pilothouse.core.errors import ConfigError, DataError, PilothouseError, RunError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import configured, configured_language
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.tables import action_rows
from pilothouse.tasks.demonstrations import read_episodes, write_episodes
from pilothouse.tasks.reach import Reach
from pilothouse.training.action_config import ActionConfig
from pilothouse.training.action_course import ActionCourse, evaluate_run
from pilothouse.training.action_evaluation import evaluate_actor
from pilothouse.training.run import resume, train

NANO: dict[str, Any] = {
    "task": "reach",
    "policy": {"horizon": 8, "denoiser": {"width": 16, "blocks": 1}, "levels": 10},
    "sampler": {"steps": 2},
    "execute": 4,
    "training": {"steps": 6, "demonstrations": 5, "batch": 8, "checkpoint_every": 2, "eval_episodes": 4},
}


def nano(**changes: Any) -> ActionConfig:
    found = configured("diffusion-policy", None, {**NANO, **changes})
    assert isinstance(found, ActionConfig)
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run; read it, or copy it before changing anything."""
    run = tmp_path_factory.mktemp("actions") / "run"
    train(nano(), run, Progress())
    return run


def test_a_run_leaves_everything(finished: Path) -> None:
    result = json.loads((finished / "result.json").read_text())
    assert result["finished"]
    found = result["evaluation"]
    assert 0 <= found["success"]["low"] <= found["success"]["estimate"] <= found["success"]["high"] <= 1
    assert found["episodes"] == 4
    assert found["calls_per_plan"] == 2
    assert (finished / result["figure"]).is_file()
    assert (finished / result["picture"]).is_file()
    rows = list(RunStore.open(finished).metrics())
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert all(row["loss"] > 0 for row in rows)


def test_the_model_is_the_average_of_the_weights(finished: Path) -> None:
    saved, last = load_file(finished / "model" / "model.safetensors"), finished / "checkpoints" / "step-000006"
    state = torch.load(last / "state.pt", weights_only=True)
    for name, average in state["ema"]["average"].items():
        assert saved[name].equal(average)
    assert not saved["network.inner.enter.weight"].equal(
        load_file(last / "weights.safetensors")["network.inner.enter.weight"]
    )


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
    losses = [[row["loss"] for row in RunStore.open(run).metrics()] for run in (broken, finished)]
    assert losses[0] == losses[1]
    results = [RunStore.open(run).read_result()["evaluation"] for run in (broken, finished)]
    assert all(results[0][key] == results[1][key] for key in results[0] if key != "seconds")


def test_a_sampler_can_be_swapped_at_evaluation(finished: Path) -> None:
    store = RunStore.open(finished)
    found = evaluate_run(store, {"sampler": "ddpm", "execute": 1}, 3, 0)
    assert (found["calls_per_plan"], found["calls_per_action"], found["episodes"]) == (10, 10, 3)
    assert Path(found["picture"]).is_file()
    again = evaluate_run(store, {"sampler": "ddpm", "execute": 1}, 3, 0)
    assert again["return"] == found["return"]


def test_the_highest_reward_is_that_of_each_episode() -> None:
    class Leaving:
        slots, effort = 3, Effort(plans=1, calls=1)

        def reset(self, slots: torch.Tensor | None = None) -> None:
            pass

        def act(self, observations: torch.Tensor, active: torch.Tensor | None = None) -> torch.Tensor:
            return (observations[:, :2] - observations[:, 2:]).sign()

    start = Reach().make(3, SeedTree(4)).reset()
    after = start[:, :2] + 0.1 * (start[:, :2] - start[:, 2:]).sign()  # the nearest it ever is to the goal
    found = evaluate_actor(Reach(), Leaving(), SeedTree(4))
    nearest = -(after - start[:, 2:]).norm(dim=1)
    assert found.best_reward.estimate == pytest.approx(float(nearest.mean()))
    assert found.best_reward.low < float(nearest.min()) < float(nearest.max()) < found.best_reward.high
    rows = dict(action_rows(found.to_dict()))
    assert rows["highest reward"].startswith(f"{float(nearest.mean()):.4g} [")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"sampler": "ddmp"}, "unknown sampler 'ddmp'; did you mean 'ddpm'"),
        ({"sampler": {"name": "ddim", "steps": 11}}, "11 steps through 10 levels"),
        ({"execute": 8}, "execute = 8 asks for more actions than the 7"),
        ({"task": "pick-lift"}, "sees 4 and acts with 2 numbers, task 'pick-lift' shows 5 and takes 3"),
        ({"task": "sorting"}, "unknown control task 'sorting'"),
    ],
)
def test_what_does_not_fit_the_checkpoint_is_a_sentence(finished: Path, table: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        evaluate_run(RunStore.open(finished), table, 2, 0)


def test_an_action_that_is_not_finite_stops_and_saves_the_episode(finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    from safetensors.torch import save_file

    weights = load_file(run / "model" / "model.safetensors")
    weights["network.inner.leave.2.bias"][3] = float("nan")
    save_file(weights, run / "model" / "model.safetensors")
    with pytest.raises(RunError, match=r"episode 0, step 1 is not finite.*saved in .*failed-episode"):
        evaluate_run(RunStore.open(run), {}, 2, 0)
    (episode,) = read_episodes(run / "failed-episode")
    assert episode.actions.isnan().any()
    assert episode.observations.isfinite().all()


def test_saved_episodes_are_learnt_from_and_guarded(tmp_path: Path) -> None:
    shown = Reach().demonstrations(4, SeedTree(5))
    shown.save(tmp_path / "data")
    config = nano(task={"name": "reach", "data": str(tmp_path / "data")})
    train(config, tmp_path / "run", Progress())
    Reach().demonstrations(4, SeedTree(6)).save(tmp_path / "data")
    with pytest.raises(RunError, match="other statistics than those this run was trained on"):
        resume(tmp_path / "run", 8, Progress())
    write_episodes(tmp_path / "bare", shown.trajectories)
    with pytest.raises(DataError, match="no normalisation statistics"):
        train(nano(task={"name": "reach", "data": str(tmp_path / "bare")}), tmp_path / "other", Progress())
    assert not (tmp_path / "other").exists(), "a run that could not begin left a folder"


def test_a_loss_that_is_not_finite_stops(tmp_path: Path) -> None:
    course = ActionCourse.prepare(nano(), RunStore.create(tmp_path / "run", "m", "t"), Progress())
    with torch.no_grad():
        next(course.loop.policy.parameters()).fill_(float("nan"))
    with pytest.raises(PilothouseError, match=r"step 1: loss nan.*lower --training.learning_rate"):
        course.loop.step(0)


def test_kinds_of_methods_are_told_apart() -> None:
    assert type(configured("grpo", None, {"task": "sorting"})).__name__ == "RunConfig"
    with pytest.raises(ConfigError, match="'diffusion-policy' trains no language policy"):
        configured_language("diffusion-policy", None, {"task": "sorting"})
    with pytest.raises(ConfigError, match="unknown setting 'sampler'"):
        configured("grpo", None, {"task": "sorting", "sampler": "ddim"})
