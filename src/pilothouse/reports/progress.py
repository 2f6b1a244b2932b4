"""What a run shows while it goes: a bar on a terminal, lines in a log. Standard output stays free for results."""

from __future__ import annotations

import math
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

_EVERY = 2.0  # seconds between two lines of a log
_RECENT = 10  # steps that the remaining time is judged by
_FORMS = {
    "reward": "reward {:.3f}",
    "accuracy": "accuracy {:.1%}",
    "length": "length {:.1f}",
    "entropy": "entropy {:.3f}",
}


class Progress:
    """Shows nothing: the one to use in libraries and tests, and the base of the others."""

    def say(self, line: str) -> None:
        """Tell something worth a line."""

    def warn(self, line: str) -> None:
        """Tell something the user may want to act on."""

    def phase(self, title: str) -> None:
        """Say what begins now."""

    def start(self, total: int, done: int) -> None:
        """Begin to count training steps.

        Args:
            total: the step to reach.
            done: steps already taken.
        """

    def expect(self, total: int) -> None:
        """Count towards another number of steps, as where a budget decides how many there will be."""

    def step(self, row: Mapping[str, Any]) -> None:
        """Show a finished step.

        Args:
            row: its metrics.
        """

    def stop(self) -> None:
        """End the count of steps, whether or not all were taken."""

    def track(self, done: float, total: float, text: str) -> None:
        """Show how far some other piece of work has come.

        Args:
            done: how much is done, in any unit.
            total: how much there is; the bar closes when ``done`` reaches it.
            text: what it is, and its latest figure.
        """


class WarningProgress(Progress):
    """Shows warnings only, on standard error."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr

    def warn(self, line: str) -> None:
        """Write the warning."""
        self._write(f"warning: {line}")

    def _write(self, line: str) -> None:
        self.stream.write(line + "\n")
        self.stream.flush()


class PlainProgress(WarningProgress):
    """Writes lines, for logs and pipes: every message, and the figures of a step at most every two seconds.

    Args:
        stream: where to; standard error by default.
        clock: tells the seconds.
    """

    def __init__(self, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._clock, self._last, self._total = clock, -math.inf, 0
        self._pace: deque[float] = deque(maxlen=_RECENT)

    def say(self, line: str) -> None:
        """Write the line."""
        self._write(line)

    def phase(self, title: str) -> None:
        """Write the title."""
        self._write(title)

    def start(self, total: int, done: int) -> None:
        """Remember the number of steps; the first one is always written."""
        self._total, self._last = total, -math.inf
        self._pace.clear()

    def expect(self, total: int) -> None:
        """Remember the new number of steps."""
        self._total = total

    def step(self, row: Mapping[str, Any]) -> None:
        """Write the step's figures if the last ones are two seconds old, or if it is the last step."""
        self._pace.append(float(row.get("seconds") or 0.0))
        step = int(row["step"])
        if self._due(step >= self._total):
            left = duration(sum(self._pace) / len(self._pace) * max(0, self._total - step))
            self._write(f"step {step}/{self._total}  {figures(row)}  {left} left")

    def track(self, done: float, total: float, text: str) -> None:
        """Write how far it has come if the last line is two seconds old, or if it is done."""
        if self._due(done >= total):
            self._write(f"{100 * done / total if total else 100:3.0f} %  {text}")

    def _due(self, last: bool) -> bool:
        now = self._clock()
        if last or now - self._last >= _EVERY:
            self._last = now
            return True
        return False


class RichProgress(Progress):
    """Draws a bar with the latest figures on a terminal.

    Args:
        console: where to; a console on standard error by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bars
        from rich.table import Column

        self.console = console or Console(stderr=True)
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=16, table_column=Column(min_width=16)),  # on a narrow terminal the text gives way
            TextColumn("{task.fields[text]}", markup=False),
            console=self.console,
            transient=True,
        )
        self._steps: TaskID | None = None
        self._work: TaskID | None = None
        self._total = 0
        self._pace: deque[float] = deque(maxlen=_RECENT)

    def say(self, line: str) -> None:
        """Print the line above the bar."""
        self.console.print(line, markup=False, highlight=False)

    def warn(self, line: str) -> None:
        """Print the warning above the bar."""
        self.console.print(f"warning: {line}", style="yellow", markup=False, highlight=False)

    def phase(self, title: str) -> None:
        """Print the title above the bar."""
        self.console.print(title, style="bold", markup=False, highlight=False)

    def start(self, total: int, done: int) -> None:
        """Draw the bar of training steps."""
        self._total = total
        self._pace.clear()
        self._steps = self._bars.add_task(f"step {done}/{total}", total=total, completed=done, text="")
        self._bars.start()

    def expect(self, total: int) -> None:
        """Make the bar that long."""
        self._total = total
        if self._steps is not None:
            self._bars.update(self._steps, total=total)

    def step(self, row: Mapping[str, Any]) -> None:
        """Move the bar on and show the step's figures."""
        if self._steps is None:
            return
        self._pace.append(float(row.get("seconds") or 0.0))
        step = int(row["step"])
        left = duration(sum(self._pace) / len(self._pace) * max(0, self._total - step))
        self._bars.update(
            self._steps, completed=step, description=f"step {step}/{self._total}", text=f"{left} left  {figures(row)}"
        )

    def stop(self) -> None:
        """Take the bar away; what was printed stays."""
        if self._steps is not None:
            self._bars.remove_task(self._steps)
            self._steps = None
        self._bars.stop()

    def track(self, done: float, total: float, text: str) -> None:
        """Draw a bar for this work until it is done."""
        if self._work is None:
            self._work = self._bars.add_task("", total=total, text=text)
            self._bars.start()
        self._bars.update(self._work, completed=done, total=total, text=text)
        if done >= total:
            self._bars.remove_task(self._work)
            self._work = None
            if self._steps is None:
                self._bars.stop()
                self.say(text)


def make_progress(quiet: bool = False) -> Progress:
    """Return what suits standard error: a bar on a terminal, lines otherwise, warnings alone when ``quiet``."""
    if quiet:
        return WarningProgress()
    return RichProgress() if sys.stderr.isatty() else PlainProgress()


def figures(row: Mapping[str, Any]) -> str:
    """Return a step's main figures in one line; those that are missing or not finite are left out."""
    known = {name: row.get(name) for name in _FORMS}
    if "reward" not in row and row.get("loss") is not None:  # what imitates has nothing else to show
        return f"loss {row['loss']:.4f}"
    return "  ".join(
        _FORMS[name].format(value) for name, value in known.items() if value is not None and math.isfinite(value)
    )


def duration(seconds: float) -> str:
    """Return seconds for reading: ``"48 s"``, ``"3 min 05 s"``, ``"2 h 07 min"``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
