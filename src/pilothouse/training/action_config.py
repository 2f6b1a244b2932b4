"""The whole configuration of a run that learns to act."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pilothouse.training.acting import ActingSettings
from pilothouse.training.action_recipe import ActionPolicy
from pilothouse.training.recipe import LoopSettings

if TYPE_CHECKING:
    from pilothouse.reports.progress import Progress
    from pilothouse.reports.runs import RunStore
    from pilothouse.training.course import Course


class ActionConfig(ActionPolicy, ActingSettings):
    """The recipe of a method that acts with everything else a run depends on.

    Args:
        kind: marks this kind of configuration in ``config.toml``.
    """

    makes: ClassVar[str] = "a policy that plans actions"

    kind: Literal["actions"] = "actions"

    @property
    def loop_settings(self) -> LoopSettings:
        """How long it trains."""
        return self.training

    def course(self, store: RunStore, progress: Progress) -> Course:
        """Return the training of a policy that acts."""
        from pilothouse.training.action_course import ActionCourse  # which reads this configuration

        return ActionCourse.prepare(self, store, progress)

    @classmethod
    def evaluate_run(cls, store: RunStore, table: Mapping[str, Any], n: int, seed: int) -> dict[str, Any] | None:
        """Return what a finished run's policy does in ``n`` episodes."""
        from pilothouse.training.action_course import evaluate_run

        return evaluate_run(store, table, n, seed)
