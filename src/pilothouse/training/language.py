"""A run that trains a language policy: held-out accuracy before and after, in pairs."""

from __future__ import annotations

from typing import Any

import numpy as np

from pilothouse.credit.diagnostics import ModelKind
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.reports.figures import training_figure
from pilothouse.reports.files import replacing, writing
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.statistics import paired_bootstrap
from pilothouse.training.config import RunConfig
from pilothouse.training.diagnose import diagnose
from pilothouse.training.evaluate import Evaluation
from pilothouse.training.loop import Trainer
from pilothouse.training.memory import estimate_memory
from pilothouse.training.model_folder import save_model
from pilothouse.training.optimizer import default_learning_rate
from pilothouse.training.prepare import prepare_policy


class LanguageCourse:
    """From a language policy at hand to one that was trained and measured.

    Args:
        loop: takes the steps.
    """

    def __init__(self, loop: Trainer) -> None:
        self.loop = loop

    @classmethod
    def prepare(cls, config: RunConfig, store: RunStore, progress: Progress) -> LanguageCourse:
        """Return the training that ``config`` describes, its policy loaded and its learning rate chosen."""
        progress.say(f"problems: {config.task.source()}")
        for split in ("train", "test"):
            config.task.problems(split)  # data that cannot be read should not wait for a model to load
        policy = prepare_policy(config.policy, config.task, config.seed, progress, value_head=config.head)
        if not config.training.learning_rate:
            count = sum(weight.numel() for weight in policy.model.parameters())
            restarts = config.training.restart  # then every step has the whole rate to itself
            updates = 1 if restarts else config.training.epochs * config.training.minibatches
            rate = default_learning_rate(count, config.policy.lora is not None, updates)
            config = config.model_copy(update={"training": config.training.model_copy(update={"learning_rate": rate})})
        return cls(Trainer(config, policy, store, progress))

    def config_table(self) -> dict[str, Any]:
        """Return the resolved configuration."""
        return self.loop.config.model_dump(mode="json")

    def plan(self) -> str:
        """Return one line of arithmetic (what a step is) and one of memory."""
        return _plan(self.loop)

    def begin(self) -> None:
        """Measure the policy as it is."""
        before = _measure(self.loop, "before")
        self.loop.store.write_result({"finished": False, "before": {k: e.to_dict() for k, e in before.items()}})
        _keep(self.loop.store, "before", before)
        self.loop.warm_up()

    def conclude(self) -> dict[str, Any]:
        """Measure again, in pairs with before."""
        trainer, store = self.loop, self.loop.store
        after = _measure(trainer, "after")
        before = store.read_result()["before"]
        gains = _gains(trainer, after)
        _keep(store, "after", after)
        save_model(trainer.policy.save, store.path / "model")
        if trainer.critic is not None:
            save_model(trainer.critic.network.save, store.path / "critic")
        rows = [_point(0, before["sampled"]), *store.metrics(), _point(trainer.done, after["sampled"].to_dict())]
        figure = store.path / "figures" / "training"
        with writing(figure):
            figure = training_figure(rows, figure, title=f"{trainer.config.method} on {trainer.config.task.name}")
        return {
            "finished": True,
            "method": trainer.config.method,
            "task": trainer.config.task.name,
            "source": trainer.config.task.source(),
            "steps": trainer.done,
            "before": before,
            "after": {kind: evaluation.to_dict() for kind, evaluation in after.items()},
            "gain": gains,
            "cost": trainer.cost.to_dict(),
            "seconds": dict(trainer.clock.seconds),
            **diagnose(rows, trainer.config.model_dump(mode="json"), _kind(trainer.policy)),
            "figure": str(figure.relative_to(store.path)),
        }


def _gains(trainer: Trainer, after: dict[str, Evaluation]) -> dict[str, Any]:
    rng = (trainer.seeds / "bootstrap").numpy()
    gains: dict[str, Any] = {}
    for kind, evaluation in after.items():
        old = _kept(trainer.store, "before", kind)
        judged = ~np.isnan(evaluation.correct).all(axis=1) & ~np.isnan(old).all(axis=1)
        if not judged.any():  # the verifier failed on one half of every pair
            continue
        gain = paired_bootstrap(np.nanmean(evaluation.correct[judged], axis=1), np.nanmean(old[judged], axis=1), rng)
        gains[kind] = {"estimate": gain.estimate, "low": gain.low, "high": gain.high, "level": gain.level}
    return gains


def _plan(trainer: Trainer) -> str:
    config, settings = trainer.config, trainer.config.training
    group = config.program.group_size
    episodes = f"{settings.prompts} prompts x {group} = {settings.prompts * group} episodes" if group else "prompts"
    if settings.window:
        episodes += f" that grow by up to {settings.window} tokens"
        if settings.window >= trainer.length_limit:
            episodes += f" (no response has more than {trainer.length_limit}: all end at once, as without a window)"
    updates = settings.epochs * settings.minibatches
    length = trainer.task.limit + 64
    estimate = estimate_memory(trainer.policy, config, config.policy.rows, min(length, trainer.policy.context))
    count = sum(weight.numel() for weight in trainer.policy.trainable_parameters().values())
    budget = f"until {settings.token_budget:,} tokens are computed, at most " if settings.budget else ""
    return (
        f"{budget}{settings.steps} steps of {episodes}, {updates} optimiser step{'s' if updates > 1 else ''} each, "
        f"learning rate {settings.learning_rate:g}, {count:,} trainable parameters\n{estimate}"
    )


def _measure(trainer: Trainer, when: str) -> dict[str, Evaluation]:
    trainer.progress.phase(f"measuring held-out accuracy {when} training")
    return {"sampled": trainer.evaluate(), "greedy": trainer.evaluate(greedy=True)}


def _point(step: int, figures: dict[str, Any]) -> dict[str, float]:
    """Return a held-out measurement as a row of the training figure."""
    return {
        "step": step,
        "held_out": figures["accuracy"],
        "held_out_low": figures["low"],
        "held_out_high": figures["high"],
    }


def _kind(policy: CausalPolicy) -> ModelKind:
    """A model with a chat template was tuned to instructions."""
    return "aligned" if getattr(policy.tokenizer, "chat_template", None) else "base"


def _keep(store: RunStore, when: str, evaluations: dict[str, Evaluation]) -> None:
    """Keep every verdict of an evaluation: paired intervals need them, also after a resume."""
    for kind, evaluation in evaluations.items():
        with replacing(store.path / "evaluations" / f"{when}-{kind}.npy") as stream:
            np.save(stream, evaluation.correct)


def _kept(store: RunStore, when: str, kind: str) -> np.ndarray:
    return np.load(store.path / "evaluations" / f"{when}-{kind}.npy")
