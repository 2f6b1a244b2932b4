"""One experiment in a process of its own: its lines are passed on and logged, and it can be stopped at a time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from pilothouse.core.errors import PilothouseError, RunError
from pilothouse.reports.files import writing
from pilothouse.reports.progress import Progress

_PATIENCE = 10.0  # seconds that a process may take to end


class OutOfTime(PilothouseError):
    """The budget ended in the middle of an experiment."""


def reproduce_apart(name: str, scale: str, folder: Path, progress: Progress, limit: float | None) -> None:
    """Run ``pilothouse reproduce`` in a process of its own.

    Args:
        name: the method's name.
        scale: the experiment's scale.
        folder: the experiment's; ``reproduce.log`` in it holds what the process said.
        progress: is told that too.
        limit: seconds after which it is stopped.

    Raises:
        OutOfTime: it was stopped.
        RunError: it failed; the message is the last thing it said.
    """
    command = [sys.executable, "-m", "pilothouse", "reproduce", name, "--scale", scale, "--out", str(folder), "--json"]
    run_apart(command, folder / "reproduce.log", progress, limit)


def run_apart(command: Sequence[str], log: Path, progress: Progress, limit: float | None) -> None:
    """Run a command in a process group of its own and wait for it (see ``reproduce_apart``).

    An interrupt reaches this process alone, which then ends the group: whatever the command finished is on disk.
    """
    with writing(log):
        log.parent.mkdir(parents=True, exist_ok=True)
        stream = log.open("wb")
    last: deque[str] = deque(maxlen=1)
    with stream, _started(command) as (child, late):
        timer = threading.Timer(limit, _stop, (child, late)) if limit is not None else None
        if timer:
            timer.start()
        try:
            assert child.stderr is not None
            for said in child.stderr:
                stream.write(said)
                if text := said.decode(errors="replace").strip():
                    last.append(text)
                    progress.say(f"  {text}")
            status = child.wait()
        finally:
            if timer:
                timer.cancel()
    if late.is_set():
        raise OutOfTime("the budget ended in the middle of it; what it finished is kept and read back next time")
    if status:
        ended = f"ended by signal {-status}" if status < 0 else f"exit status {status}"
        reason = last[0].removeprefix("error: ") if last else ended
        raise RunError(f"{reason} ({ended}; its log is {log})")


@contextmanager
def _started(command: Sequence[str]) -> Iterator[tuple[subprocess.Popen[bytes], threading.Event]]:
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
    try:
        yield child, threading.Event()
    finally:
        if child.poll() is None:
            _stop(child)
        if child.stderr:
            child.stderr.close()


def _stop(child: subprocess.Popen[bytes], late: threading.Event | None = None) -> None:
    """End the process and what it started."""
    if late:
        late.set()
    for how in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, how)
        with suppress(subprocess.TimeoutExpired):
            child.wait(_PATIENCE)
            return
