"""A whole run: prepare the policy, measure, train, measure again, leave a folder that tells everything."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from pilothouse.core.errors import ConfigError, RunError
from pilothouse.core.parts import validated
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.diagnostics import ModelKind
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.heads import HeadSettings
from pilothouse.policies.loading import place
from pilothouse.policies.tiny import tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.reports.figures import training_figure
from pilothouse.reports.files import replacing, writing
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.sinks import check_sinks
from pilothouse.reports.statistics import paired_bootstrap
from pilothouse.tasks.base import Task
from pilothouse.training.config import TINY, PolicySettings, RunConfig
from pilothouse.training.diagnose import diagnose
from pilothouse.training.evaluate import Evaluation
from pilothouse.training.loop import Trainer
from pilothouse.training.memory import estimate_memory
from pilothouse.training.optimizer import default_learning_rate


@dataclass(frozen=True)
class Finished:
    """What a run came to.

    Args:
        store: the run's folder.
        result: final figures with intervals and cost, as written to ``result.json``.
    """

    store: RunStore
    result: dict[str, Any]


def prepare_policy(
    settings: PolicySettings, task: Task, seed: int, progress: Progress, *, value_head: HeadSettings | None = None
) -> CausalPolicy:
    """Return the policy that a configuration names; the tiny one is warm-started, from the cache if it was before.

    Raises:
        ConfigError: the device or the model is not there, or the tiny model cannot write this task's text.
    """
    place(settings.device, settings.dtype)
    if settings.model != TINY:
        return CausalPolicy.load(
            settings.model,
            device=settings.device,
            dtype=settings.dtype,
            lora=settings.lora,
            value_head=value_head or False,
            seed=(SeedTree(seed) / "weights").integer(),
        )
    if not task.character_set:
        raise ConfigError(
            f"the tiny character model cannot write the text of task '{task.name}': give --model a folder or hub id"
        )
    solved = [problem for problem in task.problems("train") if problem.solution]
    policy = tiny_policy(task.character_set, (SeedTree(0) / "weights").integer(), settings.size)
    progress.say(f"warm start on {len(solved):,} worked solutions, or from the cache if it was made before")
    history = cached_warm_start(
        policy,
        solved,
        settings.warm_start,
        seed=(SeedTree(0) / "warm-start").integer(),
        progress=lambda done, loss: progress.track(100 * done, 100, f"warm start, loss {loss:.3f}"),
    )
    progress.track(100, 100, f"warm start, held-out loss {history.held_out_loss:.3f}")
    made = "found in the cache" if history.cached else f"{history.seconds:.0f} s"
    progress.say(f"warm start: {history.tokens:,} tokens, held-out loss {history.held_out_loss:.3f} ({made})")
    device, dtype = place(settings.device, settings.dtype)
    model = policy.model.to(device=device, dtype=dtype)  # pyright: ignore[reportCallIssue]
    seeds = SeedTree(seed) / "weights"
    head = value_head or False
    return CausalPolicy(model, policy.tokenizer, lora=settings.lora, value_head=head, seed=seeds.integer())


def train(config: RunConfig, out: Path | None, progress: Progress) -> Finished:
    """Train from the beginning in a new run folder.

    Args:
        config: the resolved configuration.
        out: the folder to make; by default one named after method, task and time under ``runs``.
        progress: shows what happens.
    """
    check_sinks(config.sinks)
    store = RunStore.create(out, config.method, config.task.name)
    try:
        progress.say(f"problems: {config.task.source()}")
        trainer, config = _trainer(config, store, progress)
    except BaseException:
        with suppress(OSError):  # a run that could not begin leaves no empty folder
            store.path.rmdir()
        raise
    store.write_config(config.model_dump(mode="json"))
    progress.say(_plan(trainer))
    before = _measure(trainer, "before")
    store.write_result({"finished": False, "before": {k: e.to_dict() for k, e in before.items()}})
    _keep(store, "before", before)
    trainer.save()
    return _finish(trainer)


def resume(path: Path, steps: int | None, progress: Progress, method: str = "") -> Finished:
    """Continue a run exactly where its newest whole checkpoint left it.

    Args:
        path: the run's folder.
        steps: train up to this many steps instead of the number in the configuration.
        progress: shows what happens.
        method: refuse a run of any other method; empty takes every run.

    Raises:
        RunError: there is no such run, no whole checkpoint, or it cannot be continued like this.
    """
    store = RunStore.open(path)
    table = store.read_config()
    table.pop("versions", None)
    config = validated(RunConfig, table, f"{store.path / 'config.toml'}")
    if method and method != config.method:
        raise RunError(
            f"{store.path} is a run of method '{config.method}', not '{method}': drop the name, or start a new run"
        )
    check_sinks(config.sinks)
    if steps is not None:
        if steps < config.training.steps and config.training.schedule != "constant":
            raise RunError(
                "fewer steps would change the learning-rate schedule of steps already taken; start a new run"
            )
        config.training.steps = steps
    trainer, config = _trainer(config, store, progress)
    trainer.restore()
    return _finish(trainer)


def _trainer(config: RunConfig, store: RunStore, progress: Progress) -> tuple[Trainer, RunConfig]:
    for split in ("train", "test"):
        config.task.problems(split)  # data that cannot be read should not wait for a model to load
    policy = prepare_policy(config.policy, config.task, config.seed, progress, value_head=config.head)
    if not config.training.learning_rate:
        count = sum(weight.numel() for weight in policy.model.parameters())
        restarts = config.training.restart  # then every step has the whole rate to itself
        updates = 1 if restarts else config.training.epochs * config.training.minibatches
        rate = default_learning_rate(count, config.policy.lora is not None, updates)
        config = config.model_copy(update={"training": config.training.model_copy(update={"learning_rate": rate})})
    return Trainer(config, policy, store, progress), config


def _plan(trainer: Trainer) -> str:
    """One line of arithmetic (what a step is) and one of memory."""
    config, settings = trainer.config, trainer.config.training
    group = config.program.group_size
    episodes = f"{settings.prompts} prompts x {group} = {settings.prompts * group} episodes" if group else "prompts"
    updates = settings.epochs * settings.minibatches
    length = trainer.task.limit + 64
    estimate = estimate_memory(trainer.policy, config, config.policy.rows, min(length, trainer.policy.context))
    count = sum(weight.numel() for weight in trainer.policy.trainable_parameters().values())
    return (
        f"{settings.steps} steps of {episodes}, {updates} optimiser step{'s' if updates > 1 else ''} each, "
        f"learning rate {settings.learning_rate:g}, {count:,} trainable parameters\n{estimate}"
    )


def _measure(trainer: Trainer, when: str) -> dict[str, Evaluation]:
    trainer.progress.phase(f"measuring held-out accuracy {when} training")
    return {"sampled": trainer.evaluate(), "greedy": trainer.evaluate(greedy=True)}


def _finish(trainer: Trainer) -> Finished:
    store, progress = trainer.store, trainer.progress
    progress.start(trainer.config.training.steps, trainer.done)
    try:
        trainer.fit()
    finally:
        progress.stop()
    after = _measure(trainer, "after")
    before = store.read_result()["before"]
    rng = (trainer.seeds / "bootstrap").numpy()
    gains: dict[str, Any] = {}
    for kind, evaluation in after.items():
        old = _kept(store, "before", kind)
        judged = ~np.isnan(evaluation.correct).all(axis=1) & ~np.isnan(old).all(axis=1)
        if not judged.any():  # the verifier failed on one half of every pair
            continue
        gain = paired_bootstrap(np.nanmean(evaluation.correct[judged], axis=1), np.nanmean(old[judged], axis=1), rng)
        gains[kind] = {"estimate": gain.estimate, "low": gain.low, "high": gain.high, "level": gain.level}
    _keep(store, "after", after)
    _save_model(trainer.policy, store.path / "model")
    rows = [_point(0, before["sampled"]), *store.metrics(), _point(trainer.done, after["sampled"].to_dict())]
    figure = store.path / "figures" / "training"
    with writing(figure):
        figure = training_figure(rows, figure, title=_title(trainer))
    result = {
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
    store.write_result(result)
    return Finished(store, result)


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


def _save_model(policy: CausalPolicy, folder: Path) -> None:
    """Write the model whole or not at all; an older one stays until the new one is there."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with writing(folder):
            policy.save(partial)
            shutil.rmtree(folder, ignore_errors=True)
            os.replace(partial, folder)
    except SafetensorError as error:  # how its writer reports a full disk
        raise RunError(f"cannot write {folder}: {error}; free space, then continue with --resume") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _title(trainer: Trainer) -> str:
    return f"{trainer.config.method} on {trainer.config.task.name}"


def _keep(store: RunStore, when: str, evaluations: dict[str, Evaluation]) -> None:
    """Keep every verdict of an evaluation: paired intervals need them, also after a resume."""
    for kind, evaluation in evaluations.items():
        with replacing(store.path / "evaluations" / f"{when}-{kind}.npy") as stream:
            np.save(stream, evaluation.correct)


def _kept(store: RunStore, when: str, kind: str) -> np.ndarray:
    return np.load(store.path / "evaluations" / f"{when}-{kind}.npy")
