"""A number that moves in a straight line as training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, TypeAlias, cast

from pydantic import BeforeValidator, Field

from pilothouse.core.parts import Settings


class LinearSchedule(Settings):
    """``(1 - p) start + p end`` at the share p of training that is over.

    Args:
        start: value at the first step.
        end: value that the last step comes near to.
    """

    start: Annotated[float, Field(gt=0, le=1)] = 1.0
    end: Annotated[float, Field(gt=0, le=1)] = 1.0

    def __call__(self, progress: float) -> float:
        """Return the value.

        Args:
            progress: share of training that is over, in [0, 1]; beyond it the value stays at its end.
        """
        share = min(max(progress, 0.0), 1.0)
        return (1 - share) * self.start + share * self.end

    @property
    def always_all(self) -> bool:
        """Whether the value is 1 throughout."""
        return self.start == self.end == 1.0


def _pair(value: Any) -> Any:
    if isinstance(value, int | float):
        return {"start": value, "end": value}
    if isinstance(value, list | tuple):
        ends = cast(Sequence[Any], value)
        if len(ends) == 2:
            return {"start": ends[0], "end": ends[1]}
        return ends
    return value


#: A share in (0, 1] that may change: a number, a pair ``(start, end)``, or a table with both.
Share: TypeAlias = Annotated[LinearSchedule, BeforeValidator(_pair)]
