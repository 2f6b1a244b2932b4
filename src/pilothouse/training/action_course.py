"""A run that learns to act from recorded episodes: fit, measure in the environment, draw what it did."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from pilothouse.control.chunks import ChunkDataset
from pilothouse.control.rollout import check_spaces
from pilothouse.core.errors import RunError
from pilothouse.core.parts import validated
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.chunk import ChunkPolicy, load_policy
from pilothouse.policies.ema import EMA
from pilothouse.reports.action_figures import episodes_figure
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.acting import conclude_acting, finished_model, recorded_episodes
from pilothouse.training.action_config import ActionConfig
from pilothouse.training.action_evaluation import ActionEvaluation, evaluate_actions
from pilothouse.training.action_fit import fit_step
from pilothouse.training.config import overlay
from pilothouse.training.optimizer import Optimizer
from pilothouse.training.steps import Loop


class ActionTrainer(Loop):
    """Fits a chunk policy to windows of recorded episodes.

    Args:
        config: the resolved configuration.
        policy: what is trained; the average of its weights acts.
        data: windows to learn from.
        store: the run's folder.
        progress: shows what happens.
    """

    def __init__(
        self, config: ActionConfig, policy: ChunkPolicy, data: ChunkDataset, store: RunStore, progress: Progress
    ) -> None:
        super().__init__(config.training, config.seed, config.sinks, store, progress)
        self.config, self.policy, self.data = config, policy, data
        self.optimizer = Optimizer(dict(policy.named_parameters()), config.training)
        self.ema = EMA(policy, config.training.ema_power)

    def step(self, step: int) -> dict[str, Any]:
        """Take one step and return its metrics row."""
        started, draw = time.perf_counter(), (self.seeds / "batches" / step).torch()
        with self.clock("update"):
            batch = self.data.draw(self.config.training.batch, draw)
            figures = fit_step(self.policy, self.config.objective, batch, self.optimizer, self.ema, step, draw)
        row: dict[str, Any] = {"step": step + 1, **figures}
        row |= {"learning_rate": self.optimizer.learning_rate(step), "seconds": time.perf_counter() - started}
        return row

    def evaluate(self, episodes: int | None = None) -> ActionEvaluation:
        """Let the averaged policy act; drawn alike at every call, so that calls form pairs."""
        config = self.config
        with self.clock("evaluate"), self.ema.applied():
            return evaluate_actions(
                config.task,
                self.policy.eval(),
                config.sampler,
                config.execute,
                episodes or config.training.eval_episodes,
                self.seeds / "evaluation",
                self.store.path / "failed-episode",
            )

    def held_out(self) -> dict[str, Any]:
        """Return success, or the return where the task knows no success, for the metrics row."""
        found = self.evaluate().headline
        return {"held_out": found.estimate, "held_out_low": found.low, "held_out_high": found.high}

    def weights(self) -> dict[str, Tensor]:
        """Return parameters and normalisation."""
        return {name: tensor.detach() for name, tensor in self.policy.state_dict().items()}

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on besides the weights."""
        parts = {"objective": self.config.objective.state_dict()}
        return {"optimizer": self.optimizer.state_dict(), "ema": self.ema.state_dict(), "parts": parts}

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Take over weights and state of a checkpoint.

        Raises:
            RunError: the episodes are others than those it was trained on.
        """
        for name, buffer in self.policy.named_buffers():
            if name in weights and not torch.equal(buffer, weights[name]):
                raise RunError(
                    f"the episodes have other statistics than those this run was trained on ({name}): restore "
                    f"{self.config.task.source()}, or start a new run"
                )
        self.policy.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.ema.load_state_dict(state["ema"])
        self.config.objective.load_state_dict(state["parts"]["objective"])


class ActionCourse:
    """From recorded episodes to a policy that was measured.

    Args:
        loop: takes the steps.
    """

    def __init__(self, loop: ActionTrainer) -> None:
        self.loop = loop

    @classmethod
    def prepare(cls, config: ActionConfig, store: RunStore, progress: Progress) -> ActionCourse:
        """Return the training that ``config`` describes: episodes recorded or read, weights drawn."""
        task, seeds = config.task, SeedTree(config.seed)
        progress.say(
            f"{task.title}: sees {task.observation_dim} numbers, acts with {task.action_dim}, {task.horizon} steps at "
            f"most; episodes: {task.source()}"
        )
        shown = recorded_episodes(task, config.training.demonstrations, seeds / "demonstrations", progress)
        policy = config.policy.policy(shown.observations, shown.actions, (seeds / "weights").integer())
        check_spaces(policy, task)
        data = ChunkDataset(shown, policy.horizon, policy.model.observation_steps)
        progress.say(f"{len(shown)} episodes, {shown.steps:,} steps, {len(data):,} windows of {policy.horizon} actions")
        return cls(ActionTrainer(config, policy, data, store, progress))

    def config_table(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return self.loop.config.model_dump(mode="json")

    def plan(self) -> str:
        """Return one line on how the policy is fitted, one on how it acts."""
        config, settings = self.loop.config, self.loop.training
        count = sum(weight.numel() for weight in self.loop.policy.parameters())
        return (
            f"{settings.steps} steps of {self.loop.config.training.batch} windows, learning rate "
            f"{settings.learning_rate:g}, {count:,} trainable parameters\n"
            f"acts with sampler {config.sampler.name}, {config.execute} actions of each plan"
        )

    def begin(self) -> None:
        """There is nothing to measure of a policy that has learnt nothing."""
        self.loop.store.write_result({"kind": self.loop.config.kind, "finished": False})

    def conclude(self) -> dict[str, Any]:
        """Measure the averaged policy, draw its episodes and save it."""
        loop, config = self.loop, self.loop.config
        loop.progress.phase(f"acting in {config.training.eval_episodes} episodes")
        how = {"sampler": config.sampler.name, "execute": config.execute}
        with loop.ema.applied():
            return conclude_acting(loop, config, config.kind, loop.evaluate(), loop.policy.save, how)


def evaluate_run(store: RunStore, table: Mapping[str, Any], episodes: int, seed: int) -> dict[str, Any]:
    """Measure a finished run's policy again, with another sampler or task if the table says so.

    Args:
        store: the run.
        table: settings laid over the run's own, such as ``{"sampler": "ddpm", "execute": 1}``.
        episodes: how many.
        seed: root of their starts and of the sampler's noise.

    Returns:
        The figures, JSON-ready, with the path of a picture of the episodes.

    Raises:
        ConfigError: a setting is refused, or the policy was trained for other observations or actions.
        RunError: the run has not finished, its model is damaged, or it acted with numbers that are not finite.
    """
    own = store.read_config()
    own.pop("versions", None)
    config = validated(ActionConfig, overlay(own, table), f"the configuration of '{own.get('method')}'")
    policy, sampler, node = load_policy(finished_model(store)), config.sampler, SeedTree(seed) / "evaluation"
    failed = store.path / "failed-episode"
    found = evaluate_actions(config.task, policy, sampler, config.execute, episodes, node, failed)
    stem = store.path / "figures" / f"episodes-{config.task.title}-{sampler.name}"
    title = f"{config.method} on {config.task.title}, sampler {sampler.name}"
    picture = episodes_figure(found.outcomes.trajectories, config.task.plane, stem, title=title)
    return {
        "source": str(store.path),
        "task": config.task.title,
        "seed": seed,
        "sampler": sampler.model_dump(mode="json"),
        "execute": config.execute,
        **found.to_dict(),
        "picture": str(picture),
    }
