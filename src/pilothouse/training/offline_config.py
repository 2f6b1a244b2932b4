"""The whole configuration of a run that learns to act offline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pilothouse.training.acting import ActingSettings
from pilothouse.training.offline_recipe import OfflineLearning
from pilothouse.training.recipe import LoopSettings

if TYPE_CHECKING:
    from pilothouse.reports.progress import Progress
    from pilothouse.reports.runs import RunStore
    from pilothouse.training.course import Course


class OfflineConfig(OfflineLearning, ActingSettings):
    """The recipe of an offline method with everything else a run depends on.

    Args:
        kind: marks this kind of configuration in ``config.toml``.
    """

    makes: ClassVar[str] = "an offline learner"

    kind: Literal["offline"] = "offline"

    @property
    def loop_settings(self) -> LoopSettings:
        """How long it trains."""
        return self.training

    @property
    def updates(self) -> int:
        """Optimiser steps in a step of the run."""
        return self.training.batches

    def course(self, store: RunStore, progress: Progress) -> Course:
        """Return the training of an offline learner."""
        from pilothouse.training.offline_course import OfflineCourse  # which reads this configuration

        return OfflineCourse.prepare(self, store, progress)

    @classmethod
    def evaluate_run(cls, store: RunStore, table: Mapping[str, Any], n: int, seed: int) -> dict[str, Any] | None:
        """Return what a finished run's learner does in ``n`` episodes."""
        from pilothouse.training.offline_course import evaluate_run

        return evaluate_run(store, table, n, seed)
