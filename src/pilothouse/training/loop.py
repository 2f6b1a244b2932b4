"""The training loop: attempt, judge, credit, update; every step recorded, every run resumable bit for bit."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import torch

from pilothouse.core.errors import DataError, PilothouseError
from pilothouse.core.problems import Score
from pilothouse.core.requests import Tokens
from pilothouse.core.results import Cost
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.reports.sinks import open_sinks
from pilothouse.training.checkpoints import Checkpoint, load_latest, save_checkpoint
from pilothouse.training.clock import Clock
from pilothouse.training.collect import Attempt, attempt, first_failure, flatten, spent
from pilothouse.training.config import RunConfig, parts_of
from pilothouse.training.data import PromptOrder
from pilothouse.training.evaluate import Evaluation, evaluate, held_out
from pilothouse.training.metrics import records, rollout_metrics
from pilothouse.training.optimizer import Optimizer
from pilothouse.training.scoring import scored_runner
from pilothouse.training.update import Updater


class Interrupted(PilothouseError):
    """The user asked to stop; everything up to the last whole step is saved."""

    exit_status: ClassVar[int] = 130


class Trainer:
    """Trains a policy on a task as a configuration says.

    Args:
        config: the resolved configuration; its learning rate is set.
        policy: what is trained; the engine samples from these very weights.
        store: the run's folder.
        progress: shows what happens.
    """

    def __init__(self, config: RunConfig, policy: CausalPolicy, store: RunStore, progress: Progress) -> None:
        self.config, self.policy, self.store, self.progress = config, policy, store, progress
        self.task, self.seeds, self.clock = config.task, SeedTree(config.seed), Clock()
        self.engine = LocalEngine(policy, max_rows=config.policy.rows)
        self.runner = scored_runner(self.engine, config.scorer, config.task)
        self.order = PromptOrder(self.task.problems("train"), self.seeds / "data")
        self.optimizer = Optimizer(policy.trainable_parameters(), config.training)
        # A resumed run makes the same policy before it restores, so these are the weights the run began with.
        start = policy.trainable_parameters() if config.training.restart else {}
        self.start = {name: weight.detach().clone() for name, weight in start.items()}
        if config.training.gradient_checkpointing:
            policy.gradient_checkpointing()
        reference = policy.reference() if "ref_logprobs" in config.needs else None
        self.updater = Updater(config, policy, self.optimizer, reference)
        self.cost, self.done, self._warned, self._failed = Cost(), 0, False, False
        self._stop = threading.Event()

    def fit(self) -> None:
        """Run the steps that remain.

        Raises:
            DivergedError: loss or gradient is not finite; the last checkpoint is good.
            Interrupted: SIGINT arrived; the step under way was finished and saved.
            RunError: the disk is full or the run's folder cannot be written.
        """
        settings = self.config.training
        sinks = open_sinks(self.config.sinks, self.store.path, self.progress.warn)
        try:
            with self._finishing_step_on_interrupt():
                for step in range(self.done, settings.steps):
                    row = self.step(step)
                    self.done = step + 1
                    if settings.eval_every and self.done % settings.eval_every == 0 and self.done < settings.steps:
                        accuracy = self.evaluate().accuracy
                        row |= {
                            "held_out": accuracy.estimate,
                            "held_out_low": accuracy.low,
                            "held_out_high": accuracy.high,
                        }
                    self.store.append_metrics(row)
                    for sink in sinks:
                        sink.log(self.done, row)
                    self.progress.step(row)
                    due = settings.checkpoint_every and self.done % settings.checkpoint_every == 0
                    if due or self.done == settings.steps or self._stop.is_set():
                        self.save()
                    if self._stop.is_set():
                        raise Interrupted(
                            f"stopped after step {self.done} of {settings.steps}, all saved; continue with "
                            f"'pilothouse train --resume {self.store.path}'"
                        )
        finally:
            for sink in sinks:
                sink.close()

    def step(self, step: int) -> dict[str, Any]:
        """Take one step and return its metrics row."""
        before, clock = dict(self.clock.seconds), self.clock
        attempts = self._attempts(step)
        with clock("credit"):
            rollouts = Rollouts.from_episodes(*flatten(attempts), self.length_limit)
            row = {"step": step + 1, **rollout_metrics(rollouts)}
        rollouts = self._revised(rollouts, attempts)
        self._warn_of_truncation(row["truncated"], step)
        self._check_verdicts(rollouts, step)
        with clock("score tokens"):
            rollouts = self.updater.prepare(rollouts)
        with clock("credit"):
            rollouts = self.config.select(rollouts)
            weights = self.config.credit(rollouts)
            rollouts = self.config.select.narrow(rollouts, weights, step / self.config.training.steps)
            weights = weights * rollouts.train_mask
            row |= self.config.select.figures() | self.config.credit.figures()
        with clock("update"):
            self._restart()
            row |= self.updater.update(rollouts, weights, step, self.seeds / "shuffle" / step)
            self.engine.policy_changed()
        with clock("record"):
            self.store.append_rollouts(records(rollouts, weights, self.policy, step + 1, self.config.training.record))
        lap = clock.lap(before)
        self.cost += spent(attempts) + Cost(seconds=sum(lap.values()))
        row |= {
            "trained_tokens": float(rollouts.train_mask.sum()),
            "learning_rate": self.optimizer.learning_rate(step),
            "tokens_sampled": self.cost.tokens_sampled,
            "tokens_computed": self.cost.tokens_computed,
            "seconds": sum(lap.values()),
        }
        return row | {f"seconds/{phase}": seconds for phase, seconds in lap.items()}

    def _restart(self) -> None:
        """Go back to the weights the run began with, if each step is a round of its own."""
        if self.config.training.restart:
            self._set_weights(self.start)
            self.optimizer = self.updater.optimizer = Optimizer(
                self.policy.trainable_parameters(), self.config.training
            )

    def _set_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.policy.trainable_parameters().items():
                weight.copy_(weights[name])

    @property
    def length_limit(self) -> int:
        """The sampler's response length limit, in tokens."""
        sampling = getattr(self.config.program, "sampling", None)
        return getattr(sampling, "max_tokens", 0) or self.task.limit

    def evaluate(self, greedy: bool = False) -> Evaluation:
        """Return held-out accuracy, drawn alike at every call so that calls form pairs.

        Args:
            greedy: take the most likely tokens, once, instead of sampling as in training.
        """
        sampling = getattr(self.config.program, "sampling", Sampling())
        count = self.config.training.eval_samples
        if greedy:
            sampling, count = sampling.model_copy(update={"temperature": 0.0}), 1
        node = self.seeds / "evaluation"
        problems = held_out(self.task, self.config.training.eval_problems, node / "problems")
        with self.clock("evaluate"):
            program = Group(n=count, sampling=sampling)
            return evaluate(self.runner, program, self.policy, self.task, problems, node / "samples")

    def _attempts(self, step: int) -> list[Attempt]:
        """Attempt this step's prompts; with refill, draw on until the batch is full of groups that teach something."""
        settings, node = self.config.training, self.seeds / "sampling" / step
        kept: list[Attempt] = []
        drawn, wanted = 0, self.config.select.prompts(settings.prompts)
        while len(kept) < wanted and drawn < wanted * settings.refill:
            problems = self.order.draw(wanted - len(kept))
            fresh = attempt(
                self.runner, self.config.program, self.policy, self.task, problems, node / drawn, self.clock
            )
            drawn += len(problems)
            if settings.refill > 1 and drawn < wanted * settings.refill:
                rollouts = self._revised(Rollouts.from_episodes(*flatten(fresh), self.length_limit), fresh)
                selected = self.config.select(rollouts)
                alive = set(selected.groups[selected.train_mask.any(dim=1)].tolist())
                fresh = [a for i, a in enumerate(fresh) if i in alive]
            kept += fresh
        if not any(a.result.episodes for a in kept):
            raise DataError("the program returned no episodes to learn from; choose a program that records them")
        return kept

    def _revised(self, rollouts: Rollouts, attempts: Sequence[Attempt]) -> Rollouts:
        """Let the selector cut responses short; what it cuts is judged by the task itself, not by a cached score."""
        problems = [attempts[group].problem for group in rollouts.groups.tolist()]

        def judge(responses: Sequence[tuple[int, Tokens]]) -> list[Score]:
            return self.task.score_many([(problems[row], self.policy.codec.decode(t)) for row, t in responses])

        with self.clock("verify"):
            return self.config.select.revise(rollouts, judge)

    def _warn_of_truncation(self, share: float, step: int) -> None:
        if share > 0.5 and not self._warned:
            self._warned = True
            self.progress.warn(
                f"step {step + 1}: {share:.0%} of the responses hit the limit of {self.length_limit} tokens, so their "
                "answers were cut off; raise --task.max_tokens or use --select overlong"
            )

    def _check_verdicts(self, rollouts: Rollouts, step: int) -> None:
        """Stop when the verifier judged nothing; warn once when it failed on some responses: they train nothing."""
        failed = int((~rollouts.stats_mask).sum())
        if not failed:
            return
        reason = first_failure(rollouts.episodes)
        if failed == len(rollouts):
            raise DataError(
                f"step {step + 1}: the verifier could judge none of the {failed} responses ({reason}); mend it, then "
                f"continue with 'pilothouse train --resume {self.store.path}'"
            )
        if not self._failed:
            self._failed = True
            self.progress.warn(
                f"step {step + 1}: the verifier failed on {failed} of {len(rollouts)} responses, which train nothing "
                f"({reason}); every step counts them as verifier_errors"
            )

    def save(self) -> None:
        """Write a checkpoint of everything the next step depends on."""
        with self.clock("checkpoint"):
            state = {
                "optimizer": self.optimizer.state_dict(),
                "cursor": self.order.cursor,
                "rng": torch.get_rng_state(),
                "parts": {slot: part.state_dict() for slot, part in parts_of(self.config).items()},
                "cost": self.cost.to_dict(),
                "seconds": dict(self.clock.seconds),
                "warned": self._warned,
            }
            weights = {name: weight.detach() for name, weight in self.policy.trainable_parameters().items()}
            checkpoint = Checkpoint(self.done, weights, state)
            save_checkpoint(self.store.path / "checkpoints", checkpoint, self.config.training.keep_checkpoints)

    def restore(self) -> None:
        """Continue from the newest whole checkpoint: rows recorded after it are dropped and made again."""
        saved = load_latest(self.store.path / "checkpoints", self.progress.warn)
        self._set_weights(saved.weights)
        self.optimizer.load_state_dict(saved.state["optimizer"])
        self.order.cursor = saved.state["cursor"]
        torch.set_rng_state(saved.state["rng"])
        for slot, part in parts_of(self.config).items():
            part.load_state_dict(saved.state["parts"][slot])
        self.cost = Cost(**saved.state["cost"])
        self.clock.seconds.update(saved.state["seconds"])
        self._warned, self.done = saved.state["warned"], saved.step
        self.engine.policy_changed()
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
