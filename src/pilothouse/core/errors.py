"""Errors a user can cause: each is one sentence that names the cause and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class PilothouseError(Exception):
    """A mistake in what the user gave; the command line prints its message and exits with ``exit_status``."""

    exit_status: ClassVar[int] = 2


class ConfigError(PilothouseError):
    """A setting, name or combination that cannot work."""


class DataError(PilothouseError):
    """A file, row or reward function that is not what the task needs."""


class RunError(PilothouseError):
    """A run folder or checkpoint that cannot be written, read or continued."""


class EngineError(PilothouseError):
    """A model or server that cannot answer."""


class DivergedError(PilothouseError):
    """Training produced a loss or gradient that is not finite."""


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the closest known name, else the list of what is known.

    Args:
        name: what the user typed.
        known: the names that exist.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; known: {', '.join(names)}" if names else ""
