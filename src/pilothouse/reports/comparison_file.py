"""A stored comparison read back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pilothouse.core.errors import RunError
from pilothouse.reports.comparison import Comparison
from pilothouse.reports.files import read_json


@dataclass(frozen=True)
class Stored:
    """A comparison as it was written.

    Args:
        comparison: the figures.
        command: what made it.
    """

    comparison: Comparison
    command: str


def read_comparison(path: Path) -> Stored:
    """Return the comparison in a ``comparison.json``; what a later version added to it is left out.

    Raises:
        RunError: the file is missing, or holds no comparison.
    """
    found = read_json(path)
    try:
        return Stored(Comparison.from_dict(found), str(found.get("command", "")))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path} holds no comparison of this version ({error}); make it again") from error
