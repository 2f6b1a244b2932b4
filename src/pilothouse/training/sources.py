"""Opening what a user points at: a run's folder, a model's folder, a hub id, or nothing for the tiny policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import ConfigError, RunError
from pilothouse.core.parts import validated
from pilothouse.policies.causal_lm import VALUE_FILE, CausalPolicy
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.tasks.base import Task
from pilothouse.training.config import TINY, PolicySettings, overlay
from pilothouse.training.prepare import prepare_policy


@dataclass(frozen=True)
class Source:
    """A policy at rest, and the run it came from if it came from one.

    Args:
        path: folder or hub id of the model; "tiny" for the built-in one.
        config: the run's configuration; empty without a run.
    """

    path: str
    config: Mapping[str, Any]

    @staticmethod
    def find(source: str) -> Source:
        """Return what lies at a run's folder, a model's folder or a hub id.

        Raises:
            RunError: it is a run that has not finished.
        """
        folder = Path(source)
        if not (folder / "config.toml").is_file():
            return Source(source, {})
        if not (folder / "model").is_dir():
            raise RunError(f"run {folder} is not finished: 'pilothouse train --resume {folder}' completes it")
        return Source(str(folder / "model"), RunStore.open(folder).read_config())

    def task(self, table: Mapping[str, Any]) -> Task:
        """Return the task that ``table`` names or changes; by default the one the run was trained on.

        Args:
            table: ``{"task": ...}`` with a name, settings, or both; may be empty.

        Raises:
            ConfigError: neither names one.
        """
        merged = overlay({"task": self.config["task"]} if "task" in self.config else {}, table)
        if "task" not in merged:
            raise ConfigError("which task? give --task NAME ('pilothouse tasks' lists them)")
        return Task.build(merged["task"])

    def policy(
        self,
        task: Task,
        progress: Progress,
        settings: Mapping[str, Any] | None = None,
        *,
        value_head: bool = False,
    ) -> CausalPolicy:
        """Load the policy; the tiny one is warm-started for the task, from the cache if it was before.

        Args:
            task: what the tiny policy is made ready for.
            progress: shows what happens.
            settings: policy settings laid over the run's own.
            value_head: the policy must come with a trained value head.

        Raises:
            ConfigError: there is no model, or it has no value head.
        """
        own = {key: value for key, value in self.config.get("policy", {}).items() if key in ("device", "dtype")}
        wanted = validated(PolicySettings, {**own, **(settings or {}), "model": self.path}, "the policy")
        if value_head and not (Path(self.path) / VALUE_FILE).is_file():
            raise ConfigError(
                f"model '{self.path}' has no value head: give a run of 'alphamath' or 'ppo', or another --scorer"
            )
        if wanted.model == TINY:
            return prepare_policy(wanted, task, 0, progress)
        return CausalPolicy.load(self.path, device=wanted.device, dtype=wanted.dtype, value_head=value_head)
