"""A lock on a folder that outlives us in the processes we started; it needs a POSIX system."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pilothouse.core.errors import RunError
from pilothouse.reports.files import writing


@contextmanager
def locked(path: Path, whom: str) -> Iterator[int]:
    """Keep everybody else out while the block runs.

    Args:
        path: the lock's file, made when missing.
        whom: by whom it may be held, for the message.

    Yields:
        The file's descriptor; a child process that inherits it holds the lock until it ends, whatever becomes of us.

    Raises:
        RunError: somebody else holds it.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stream = path.open("wb")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(f"{path.parent} is in use {whom}: call again when that has ended") from None
        yield stream.fileno()
