"""What every run's loop shares: steps, metrics, checkpoints and interrupts, resumable bit for bit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from pilothouse.core.errors import PilothouseError
from pilothouse.core.seeds import SeedTree
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.sinks import open_sinks
from pilothouse.training.checkpoints import Checkpoint, load_latest, save_checkpoint
from pilothouse.training.clock import Clock
from pilothouse.training.recipe import LoopSettings


class Interrupted(PilothouseError):
    """The user asked to stop; everything up to the last whole step is saved."""

    exit_status: ClassVar[int] = 130


class Loop:
    """Takes steps, records them and saves what the next one depends on. What trains says how a step is taken.

    Args:
        training: how many steps, and how often to measure and to save.
        seed: root of the run's seed tree.
        sinks: trackers that receive every metrics row.
        store: the run's folder.
        progress: shows what happens.
    """

    def __init__(
        self, training: LoopSettings, seed: int, sinks: Sequence[str], store: RunStore, progress: Progress
    ) -> None:
        self.training, self.sinks, self.store, self.progress = training, sinks, store, progress
        self.seeds, self.clock, self.done = SeedTree(seed), Clock(), 0
        self._stop = threading.Event()

    def step(self, step: int) -> dict[str, Any]:
        """Take one step, counted from 0, and return its metrics row."""
        raise NotImplementedError

    def held_out(self) -> dict[str, Any]:
        """Return what is measured between steps, for the metrics row."""
        raise NotImplementedError

    def exhausted(self) -> bool:
        """Return whether what the run may spend is spent, so that no step follows."""
        return False

    def expected(self) -> int:
        """Return how many steps there will be, as far as can be told."""
        return self.training.steps

    def weights(self) -> dict[str, Tensor]:
        """Return what is trained, by name."""
        raise NotImplementedError

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on besides the weights."""
        raise NotImplementedError

    def load(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Take over what ``weights`` and ``state`` returned."""
        raise NotImplementedError

    def fit(self) -> None:
        """Run the steps that remain.

        Raises:
            DivergedError: loss or gradient is not finite; the last checkpoint is good.
            Interrupted: SIGINT arrived; the step under way was finished and saved.
            RunError: the disk is full or the run's folder cannot be written.
        """
        settings = self.training
        sinks = open_sinks(self.sinks, self.store.path, self.progress.warn)
        try:
            with self._finishing_step_on_interrupt():
                for step in range(self.done, settings.steps):
                    if self.exhausted():
                        break
                    row = self.step(step)
                    self.done = step + 1
                    if settings.eval_every and self.done % settings.eval_every == 0 and self.done < settings.steps:
                        row |= self.held_out()
                    self.store.append_metrics(row)
                    for sink in sinks:
                        sink.log(self.done, row)
                    self.progress.expect(self.expected())
                    self.progress.step(row)
                    due = settings.checkpoint_every and self.done % settings.checkpoint_every == 0
                    last = self.done == settings.steps or self.exhausted()
                    if due or last or self._stop.is_set():
                        self.save()
                    if self._stop.is_set():
                        raise Interrupted(
                            f"stopped after step {self.done} of {settings.steps}, all saved; continue with "
                            f"'pilothouse train --resume {self.store.path}'"
                        )
        finally:
            for sink in sinks:
                sink.close()

    def save(self) -> None:
        """Write a checkpoint of everything the next step depends on."""
        with self.clock("checkpoint"):
            state = {**self.state(), "rng": torch.get_rng_state(), "seconds": dict(self.clock.seconds)}
            checkpoint = Checkpoint(self.done, self.weights(), state)
            save_checkpoint(self.store.path / "checkpoints", checkpoint, self.training.keep_checkpoints)

    def restore(self) -> None:
        """Continue from the newest whole checkpoint: rows recorded after it are dropped and made again."""
        saved = load_latest(self.store.path / "checkpoints", self.progress.warn)
        self.load(saved.weights, saved.state)
        torch.set_rng_state(saved.state["rng"])
        self.clock.seconds.update(saved.state["seconds"])
        self.done = saved.step
        self.store.truncate(saved.step)
        self.progress.say(f"continuing {self.store.path} after step {saved.step}")

    @contextmanager
    def _finishing_step_on_interrupt(self) -> Iterator[None]:
        """Let the first SIGINT finish and save the step under way; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def on_interrupt(number: int, frame: Any) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt
            self._stop.set()
            self.progress.warn("finishing this step and saving; press Ctrl-C again to stop at once")

        old = signal.signal(signal.SIGINT, on_interrupt)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, old)
