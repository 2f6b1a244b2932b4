"""What a run is, whatever it trains: it says its plan, begins, takes its steps and concludes."""

from __future__ import annotations

from typing import Any, Protocol

from pilothouse.training.steps import Loop


class Course(Protocol):
    """A run from its first measurement to its result."""

    @property
    def loop(self) -> Loop:
        """Takes the steps."""
        ...

    def config_table(self) -> dict[str, Any]:
        """Return the resolved configuration, for ``config.toml``."""
        ...

    def plan(self) -> str:
        """Return what is going to happen, in a line or two."""
        ...

    def begin(self) -> None:
        """Do what comes before the first step, such as measuring what there is to improve."""
        ...

    def conclude(self) -> dict[str, Any]:
        """Measure, draw the figures, save the model and return what ``result.json`` holds."""
        ...
