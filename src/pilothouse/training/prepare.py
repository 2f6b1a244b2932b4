"""The language policy that a configuration names, ready to train."""

from __future__ import annotations

from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.heads import HeadSettings
from pilothouse.policies.loading import place
from pilothouse.policies.tiny import tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.reports.progress import Progress
from pilothouse.tasks.base import Task
from pilothouse.training.config import TINY, PolicySettings


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
