"""A run that learns to act from logged transitions: a trajectory model if there is one, the learner, and a measure."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pilothouse.control.learner import Learner
from pilothouse.control.learner_control import LearnerControl
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.rollout import check_spaces
from pilothouse.control.synthetic import SyntheticReplay
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.core.errors import RunError
from pilothouse.core.parts import validated
from pilothouse.core.seeds import SeedTree
from pilothouse.reports.action_figures import episodes_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.acting import conclude_acting, finished_model, recorded_episodes
from pilothouse.training.action_evaluation import ActionEvaluation, evaluate_actor
from pilothouse.training.config import overlay
from pilothouse.training.offline_config import OfflineConfig
from pilothouse.training.steps import Loop


class OfflineTrainer(Loop):
    """Fits the trajectory model, then the learner, a fixed number of batches at a step.

    Args:
        config: the resolved configuration.
        data: what was recorded.
        store: the run's folder.
        progress: shows what happens.
    """

    def __init__(self, config: OfflineConfig, data: OfflineData, store: RunStore, progress: Progress) -> None:
        super().__init__(config.training, config.seed, config.sinks, store, progress)
        self.config, self.data = config, data
        self.model_steps, self.batches = config.training.model_steps, config.training.batches
        self.learner = Learner.build(config.learner.model_dump()).begin(data.frame, self.seeds / "learner")
        self.model = TrajectoryDiffusion.model_validate(config.diffusion.model_dump())
        if self.model_steps:
            self.model.begin(data, self.model_steps * self.batches, self.seeds / "diffusion")
        self.replay = SyntheticReplay(self.model, data.transitions, config.synthetic, self.seeds / "synthetic")

    def step(self, step: int) -> dict[str, Any]:
        """Take one step and return its metrics row: means over its batches."""
        started = time.perf_counter()
        if step < self.model_steps:
            with self.clock("diffusion"):
                figures = {"loss": sum(self.model.update() for _ in range(self.batches)) / self.batches}
        else:
            figures = self._learn()
        return {"step": step + 1, **figures, "seconds": time.perf_counter() - started}

    def _learn(self) -> dict[str, float]:
        losses: dict[str, list[float]] = {}
        for _ in range(self.batches):
            if self.model_steps and self.replay.due(self.learner.step):
                with self.clock("synthetic data"):
                    self.replay.refresh(self.learner.step, self.learner)
            with self.clock("learner"):
                for name, loss in self.learner.update(self.replay).items():
                    losses.setdefault(f"loss/{name}", []).append(loss)
        means = {name: sum(values) / len(values) for name, values in losses.items()}
        return {"loss": means["loss/critic"], **means}

    def evaluate(self) -> ActionEvaluation:
        """Let the learner act; drawn alike at every call, so that calls form pairs."""
        with self.clock("evaluate"):
            keep = self.store.path / "failed-episode"
            episodes = self.config.training.eval_episodes
            return measure(self.config, self.learner, episodes, self.seeds / "evaluation", keep)

    def held_out(self) -> dict[str, Any]:
        """Return success, or the return where the task knows no success; nothing before the learner begins."""
        if not self.learner.step:
            return {}
        found = self.evaluate().headline
        return {"held_out": found.estimate, "held_out_low": found.low, "held_out_high": found.high}

    def weights(self) -> dict[str, Tensor]:
        """Return the learner's networks."""
        return self.learner.weights()

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on: learner, trajectory model and the synthetic data of now."""
        return {
            "learner": self.learner.state_dict(),
            "diffusion": self.model.state_dict(),
            "replay": self.replay.state_dict(),
        }

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Take over the state of a checkpoint.

        Raises:
            RunError: the episodes are others than those it was trained on.
        """
        for name, buffer in self.data.frame.state_dict().items():
            if not torch.equal(buffer, state["learner"]["frame"][name]):
                raise RunError(
                    f"the episodes have other statistics than those this run was trained on ({name}): restore "
                    f"{self.config.task.source()}, or start a new run"
                )
        self.learner.load_state_dict(state["learner"])
        self.model.load_state_dict(state["diffusion"])
        self.replay.load_state_dict(state["replay"])


class OfflineCourse:
    """From logged transitions to a learner that was measured.

    Args:
        loop: takes the steps.
    """

    def __init__(self, loop: OfflineTrainer) -> None:
        self.loop = loop

    @classmethod
    def prepare(cls, config: OfflineConfig, store: RunStore, progress: Progress) -> OfflineCourse:
        """Return the training that ``config`` describes: episodes recorded or read, weights drawn."""
        task = config.task
        progress.say(f"{task.title}: episodes from {task.source()}")
        shown = recorded_episodes(task, config.training.episodes, SeedTree(config.seed) / "demonstrations", progress)
        data = OfflineData.of(task, shown)
        progress.say(f"{len(shown)} episodes, {len(data.transitions):,} transitions")
        return cls(OfflineTrainer(config, data, store, progress))

    def config_table(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return self.loop.config.model_dump(mode="json")

    def plan(self) -> str:
        """Return one line for each thing that learns."""
        config, settings = self.loop.config, self.loop.config.training
        learns = (settings.steps - settings.model_steps) * settings.batches
        learner = f"learner {config.learner.name}: {learns:,} batches of {config.learner.batch}"
        if not settings.model_steps:
            return learner
        made, fits = config.synthetic, settings.model_steps * settings.batches
        return (
            f"trajectory diffusion: {fits:,} batches of {config.diffusion.batch} windows\n"
            f"{learner}, {made.real_fraction:.0%} of them recorded; every {made.refresh_every:,} batches "
            f"{made.trajectories * (made.length - 1):,} transitions are made up, guided with {made.guidance.coeff:g}"
        )

    def begin(self) -> None:
        """There is nothing to measure of a learner that has learnt nothing."""
        self.loop.store.write_result({"kind": self.loop.config.kind, "finished": False})

    def conclude(self) -> dict[str, Any]:
        """Measure the learner, draw its episodes and save it."""
        loop, config = self.loop, self.loop.config
        loop.progress.phase(f"acting in {config.training.eval_episodes} episodes")
        found = loop.evaluate()
        return conclude_acting(loop, config, config.kind, found, self._save)

    def _save(self, folder: Path) -> None:
        self.loop.learner.save(folder)
        if self.loop.model_steps:
            self.loop.model.save(folder / "diffusion")


def measure(
    config: OfflineConfig, learner: Learner, episodes: int, seeds: SeedTree, keep: Path | None
) -> ActionEvaluation:
    """Return what a learner does in a number of episodes.

    Raises:
        ConfigError: it learnt from other observations or actions than the task's.
        RunError: an action is not finite; the message says where the episode was saved.
    """
    check_spaces(learner, config.task)
    return evaluate_actor(config.task, LearnerControl(learner, episodes), seeds / "episodes", keep)


def evaluate_run(store: RunStore, table: Mapping[str, Any], episodes: int, seed: int) -> dict[str, Any]:
    """Measure a finished run's learner again, on another task if the table says so.

    Args:
        store: the run.
        table: settings laid over the run's own.
        episodes: how many.
        seed: root of their starts.

    Returns:
        The figures, JSON-ready, with the path of a picture of the episodes.

    Raises:
        ConfigError: a setting is refused, or the learner learnt from other observations or actions.
        RunError: the run has not finished, its model is damaged, or it acted with numbers that are not finite.
    """
    own = store.read_config()
    own.pop("versions", None)
    config = validated(OfflineConfig, overlay(own, table), f"the configuration of '{own.get('method')}'")
    learner = Learner.load(finished_model(store))
    found = measure(config, learner, episodes, SeedTree(seed) / "evaluation", store.path / "failed-episode")
    stem = store.path / "figures" / f"episodes-{config.task.title}"
    title = f"{config.method} on {config.task.title}"
    picture = episodes_figure(found.outcomes.trajectories, config.task.plane, stem, title=title)
    facts = {"source": str(store.path), "task": config.task.title, "seed": seed}
    return {**facts, **found.to_dict(), "picture": str(picture)}
