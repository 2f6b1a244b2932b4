"""Verifiers that may hang, die or raise: run in child processes that can be killed, with a deadline an item.

Children are plain ``python -m`` processes spoken to over pipes, so this works from any thread and never runs the
user's main script a second time. A failure is a status, never a verdict.
"""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

from pilothouse.core.errors import ConfigError
from pilothouse.core.problems import ScoreStatus

_START = 120.0  # seconds a child may take to import its verifier on a busy machine


@dataclass(frozen=True)
class Verdict:
    """What became of one item.

    Args:
        status: OK when the verifier answered.
        value: its answer, ``None`` unless OK.
        detail: a sentence about the failure, empty when OK.
    """

    status: ScoreStatus
    value: Any = None
    detail: str = ""


def guarded(function: Callable[..., Any], *arguments: Any, **named: Any) -> Verdict:
    """Return what a foreign function answers, or the error it raises as a verdict."""
    try:
        return Verdict(ScoreStatus.OK, function(*arguments, **named))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - foreign code raises anything; none of it may end a run
        return Verdict(ScoreStatus.ERROR, detail=f"the verifier raised {type(error).__name__}: {error}")


def load_function(target: str, purpose: str) -> Callable[..., Any]:
    """Return the function at ``module:function``; modules in the working folder are found, as with ``python -m``.

    Args:
        target: where the function is.
        purpose: what it is for, for messages ("reward").

    Raises:
        ConfigError: the module or the function does not exist.
    """
    module, colon, name = target.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"{purpose} '{target}' is not 'module:function'; write it like my_module:score")
    if not {"", os.getcwd()} & set(sys.path):
        sys.path.insert(0, os.getcwd())
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, SyntaxError) as error:
        raise ConfigError(f"cannot load {purpose} '{target}' ({error}); check the module's name and folder") from error
    if not callable(function):
        raise ConfigError(f"{purpose} '{target}' is not a function; name one that can be called")
    return function


class _Child:
    """A process that answers one item at a time."""

    def __init__(self, target: str, patience: float) -> None:
        command = [sys.executable, "-m", "pilothouse.tasks.verification", target, str(patience)]
        path = os.pathsep.join(entry or os.getcwd() for entry in sys.path)
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env={**os.environ, "PYTHONPATH": path},
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.outbox = Connection(os.dup(self.process.stdin.fileno()), readable=False)
        self.inbox = Connection(os.dup(self.process.stdout.fileno()), writable=False)
        self.process.stdin.close()
        self.process.stdout.close()
        self.ready = False
        self.item: int | None = None
        self.due = time.monotonic() + _START

    def give(self, index: int, item: tuple[Any, ...], deadline: float) -> None:
        self.item, self.due = index, time.monotonic() + deadline
        self.outbox.send(item)

    def end(self) -> int:
        """Kill the process and return its exit status."""
        self.process.kill()
        self.outbox.close()
        self.inbox.close()
        return self.process.wait()


class Verifiers:
    """A persistent pool of children that run one verifier.

    Args:
        target: the verifier, as ``module:function``; its arguments and its answer must pickle.
        deadline: seconds an item may take.
        workers: most children at once; by default one a core, at most 8.
    """

    def __init__(self, target: str, *, deadline: float = 5.0, workers: int = 0) -> None:
        self.target, self.deadline, self.asked = target, deadline, workers
        self.workers = workers or min(8, os.cpu_count() or 1)
        self._children: list[_Child] = []
        self._lock = threading.Lock()

    def run(self, items: Sequence[tuple[Any, ...]]) -> list[Verdict]:
        """Return the verdict on each item, in order; a child that hangs or dies is replaced.

        Args:
            items: the verifier's positional arguments, a tuple an item.
        """
        verdicts: dict[int, Verdict] = {}
        pending = deque(enumerate(items))
        with self._lock:
            while len(verdicts) < len(items):
                self._hand_out(pending)
                failure = self._collect(verdicts)
                if failure:  # a verifier that cannot start would fail again for every item
                    verdicts.update((index, failure) for index in range(len(items)) if index not in verdicts)
                    self._clear()
        return [verdicts[index] for index in range(len(items))]

    def close(self) -> None:
        """End every child."""
        with self._lock:
            self._clear()

    def __del__(self) -> None:
        """End the children with the pool."""
        self._clear()

    def _clear(self) -> None:
        while self._children:
            self._children.pop().end()

    def _hand_out(self, pending: deque[tuple[int, tuple[Any, ...]]]) -> None:
        idle = [child for child in self._children if child.item is None]
        while len(self._children) < self.workers and len(idle) < len(pending):
            idle.append(_Child(self.target, 2 * self.deadline + 5))
            self._children.append(idle[-1])
        for child in idle:
            if child.ready and pending:
                index, item = pending.popleft()
                try:
                    child.give(index, item, self.deadline)
                except BrokenPipeError:
                    child.item = None
                    pending.appendleft((index, item))
                    self._drop(child)

    def _drop(self, child: _Child) -> int:
        self._children.remove(child)
        return child.end()

    def _collect(self, verdicts: dict[int, Verdict]) -> Verdict | None:
        """Wait until a child answers, dies or is late, and note its item's verdict; return why a child cannot start."""
        waiting = {child.inbox: child for child in self._children if child.item is not None or not child.ready}
        if not waiting:
            return None
        patience = max(0.0, min(child.due for child in waiting.values()) - time.monotonic())
        answered = wait(list(waiting), timeout=patience)
        for inbox, child in waiting.items():
            if inbox in answered:
                verdict = self._hear(child)
            elif time.monotonic() >= child.due:
                self._drop(child)
                limit = self.deadline if child.ready else _START
                verdict = Verdict(ScoreStatus.TIMEOUT, detail=f"the verifier took longer than {limit:g} s: stopped")
            else:
                continue
            if child.item is not None:
                verdicts[child.item], child.item = verdict, None
            elif verdict.status is ScoreStatus.OK:
                child.ready = True
            else:
                return verdict
        return None

    def _hear(self, child: _Child) -> Verdict:
        try:
            return child.inbox.recv()
        except (EOFError, OSError):
            status = self._drop(child)
            return Verdict(ScoreStatus.ERROR, detail=f"the verifier's process died with status {status}")


def serve(target: str, patience: float) -> None:
    """Answer items from standard input on standard output until it closes.

    Args:
        target: the verifier, as ``module:function``.
        patience: seconds after which the kernel ends this process if it is still on one item, in case nobody is left
            to do so.
    """
    outbox, inbox = Connection(os.dup(1), readable=False), Connection(os.dup(0), writable=False)
    os.dup2(2, 1)  # what the verifier prints must not mix with the replies
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    loaded = guarded(load_function, target, "verifier")
    outbox.send(Verdict(loaded.status, detail=loaded.detail))
    while True:
        try:
            item = inbox.recv()
        except EOFError:
            return
        signal.setitimer(signal.ITIMER_REAL, patience)
        outbox.send(guarded(loaded.value, *item))
        signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    from pilothouse.tasks.verification import serve  # so that verdicts are pickled under this module's real name

    serve(sys.argv[1], float(sys.argv[2]))
