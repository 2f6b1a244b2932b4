"""How runs of one kind are compared: what they may spend, how often they are measured, what they came to."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from pilothouse.reports.outcomes import Measured, Metric
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore

Config = TypeVar("Config", contravariant=True)


class Referee(Protocol, Generic[Config]):
    """What a comparison asks of a kind of runs, so that it knows no kind itself."""

    def allowance(self, budget: str) -> dict[str, Any]:
        """Return the settings under ``training`` that make a run spend a budget.

        Raises:
            ConfigError: the budget is none, or in a unit that this kind does not spend.
        """
        ...

    def spends(self, config: Config) -> str:
        """Return in words what a run may spend."""
        ...

    def pace(self, config: Config) -> int:
        """Return after how many steps a run is measured again, for its cost curve."""
        ...

    def metric(self, config: Config) -> Metric:
        """Return what runs on this task are compared by."""
        ...

    def ready(self, config: Config, progress: Progress) -> None:
        """Make what several runs would otherwise make at the same time."""
        ...

    def measured(self, store: RunStore) -> Measured:
        """Return what a finished run came to.

        Raises:
            KeyError: its result lacks a figure, because another version wrote it.
        """
        ...
