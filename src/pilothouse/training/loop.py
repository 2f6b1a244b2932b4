"""Training a language policy: attempt, judge, credit, update; every step recorded, every run resumable bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pilothouse.core.errors import DataError
from pilothouse.core.problems import Score
from pilothouse.core.requests import Tokens
from pilothouse.core.results import Cost
from pilothouse.core.rollouts import Rollouts
from pilothouse.engines.local import LocalEngine
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.collect import Attempt, attempt, first_failure, flatten, spent
from pilothouse.training.config import RunConfig, parts_of
from pilothouse.training.critic import Critic
from pilothouse.training.data import PromptOrder
from pilothouse.training.evaluate import Evaluation, evaluate, held_out
from pilothouse.training.metrics import rollout_metrics, slot_metrics
from pilothouse.training.optimizer import Optimizer
from pilothouse.training.records import records
from pilothouse.training.scoring import scored_runner
from pilothouse.training.slots import SlotPool
from pilothouse.training.steps import Loop
from pilothouse.training.update import Updater


class Trainer(Loop):
    """Trains a policy on a task as a configuration says.

    Args:
        config: the resolved configuration; its learning rate is set.
        policy: what is trained; the engine samples from these very weights.
        store: the run's folder.
        progress: shows what happens.
    """

    def __init__(self, config: RunConfig, policy: CausalPolicy, store: RunStore, progress: Progress) -> None:
        super().__init__(config.training, config.seed, config.sinks, store, progress)
        self.config, self.policy, self.task = config, policy, config.task
        self.engine = LocalEngine(policy, max_rows=config.policy.rows)
        self.runner = scored_runner(self.engine, config.scorer, config.task)
        self.order = PromptOrder(self.task.problems("train"), self.seeds / "data")
        self.pool = self._pool() if config.training.window else None
        self.optimizer = Optimizer(policy.trainable_parameters(), config.training)
        # A resumed run makes the same policy before it restores, so these are the weights the run began with.
        start = policy.trainable_parameters() if config.training.restart else {}
        self.start = {name: weight.detach().clone() for name, weight in start.items()}
        if config.training.gradient_checkpointing:
            policy.gradient_checkpointing()
        reference = policy.reference() if "ref_logprobs" in config.needs else None
        self.critic = Critic.beside(config, policy) if config.critic.network == "separate" else None
        self.updater = Updater(config, policy, self.optimizer, reference, self.critic)
        self.cost, self._warned, self._failed, self._unjudged = Cost(), False, False, 0

    def step(self, step: int) -> dict[str, Any]:
        """Take one step and return its metrics row."""
        before, clock = dict(self.clock.seconds), self.clock
        rollouts, row, cost = self._whole(step) if self.pool is None else self._windows(self.pool, step)
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
            if self.critic is not None:
                row |= self.critic.update(rollouts, step, self.seeds / "shuffle" / step / "critic")
            self.engine.policy_changed()
        with clock("record"):
            rollouts = rollouts.replace(old_logprobs=self.updater.before)
            self.store.append_rollouts(records(rollouts, weights, self.policy, step + 1, self.config.training.record))
        lap = clock.lap(before)
        self.cost += cost + Cost(seconds=sum(lap.values()))
        row |= {
            "trained_tokens": float(rollouts.train_mask.sum()),
            "learning_rate": self.optimizer.learning_rate(step),
            "tokens_sampled": self.cost.tokens_sampled,
            "tokens_computed": self.cost.tokens_computed,
            "seconds": sum(lap.values()),
        }
        return row | {f"seconds/{phase}": seconds for phase, seconds in lap.items()}

    def _whole(self, step: int) -> tuple[Rollouts, dict[str, Any], Cost]:
        """Attempt this step's prompts to the end."""
        attempts = self._attempts(step)
        with self.clock("credit"):
            rollouts = Rollouts.from_episodes(*flatten(attempts), self.length_limit)
            row = {"step": step + 1, **rollout_metrics(rollouts)}
        return self._revised(rollouts, attempts), row, spent(attempts)

    def _windows(self, pool: SlotPool, step: int) -> tuple[Rollouts, dict[str, Any], Cost]:
        """Let the responses under way grow by a window; the metrics are of those that ended."""
        grown = pool.advance(self.clock)
        with self.clock("credit"):
            rollouts = Rollouts.from_episodes(grown.episodes, grown.groups, self.length_limit)
            row = {"step": step + 1, **rollout_metrics(rollouts.ended()), **slot_metrics(grown)}
            if self.config.training.window_trains == "window":
                rollouts = rollouts.replace(train_mask=rollouts.train_mask & ~rollouts.earlier)
        return rollouts, row, grown.cost

    def _pool(self) -> SlotPool:
        config = self.config
        return SlotPool(
            self.runner,
            self.policy,
            self.task,
            self.order,
            self.seeds / "sampling",
            program=config.program,
            prompts=config.training.prompts,
            window=config.training.window,
        )

    def warm_up(self) -> None:
        """Teach a separate value network what the starting policy's responses earn, before the first step."""
        critic, count, node = self.critic, self.config.critic.warmup, self.seeds / "warm-up"
        if critic is None:
            return
        order = PromptOrder(self.task.problems("train"), node / "data")
        for batch in range(count):
            problems = order.draw(self.config.training.prompts)
            attempts = attempt(
                self.runner, self.config.program, self.policy, self.task, problems, node / batch, self.clock
            )
            rollouts = Rollouts.from_episodes(*flatten(attempts), self.length_limit)
            with self.clock("update"):
                figures = critic.update(self.updater.prepare(rollouts), 0, node / batch / "shuffle")
            self.cost += spent(attempts)
            self.progress.track(batch + 1, count, f"value warm-up, loss {figures.get('critic/loss', math.nan):.3f}")

    def _restart(self) -> None:
        """Go back to the weights the run began with, if each step is a round of its own."""
        if self.config.training.restart:
            self._set_weights(self.start)
            self.optimizer = self.updater.optimizer = Optimizer(
                self.policy.trainable_parameters(), self.config.training
            )

    def held_out(self) -> dict[str, Any]:
        """Return held-out accuracy for the metrics row."""
        accuracy = self.evaluate().accuracy
        return {"held_out": accuracy.estimate, "held_out_low": accuracy.low, "held_out_high": accuracy.high}

    def _set_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        """Overwrite what is trained, as far as ``weights`` goes."""
        mine = self.weights()
        with torch.no_grad():
            for name, weight in weights.items():
                mine[name].copy_(weight)

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
        ended = rollouts.ended()
        failed = int((~ended.stats_mask).sum())
        # Few of the responses in slots end at a step: one failure among none that was judged says little.
        self._unjudged = self._unjudged + failed if failed == len(ended) else 0
        if not failed:
            return
        reason = first_failure(ended.episodes)
        if self._unjudged >= len(rollouts):
            raise DataError(
                f"step {step + 1}: the verifier could judge none of the {self._unjudged} responses ({reason}); mend "
                f"it, then continue with 'pilothouse train --resume {self.store.path}'"
            )
        if not self._failed:
            self._failed = True
            self.progress.warn(
                f"step {step + 1}: the verifier failed on {failed} of {len(ended)} responses, which train nothing "
                f"({reason}); every step counts them as verifier_errors"
            )

    def exhausted(self) -> bool:
        """Return whether sampling has computed the tokens it may."""
        budget = self.config.training.token_budget
        return bool(budget) and self.cost.tokens_computed >= budget

    def expected(self) -> int:
        """Return how many steps the budget allows at the mean cost so far, or the number that is set."""
        most, budget = self.config.training.steps, self.config.training.token_budget
        if not budget or not self.done:
            return most
        return min(most, max(self.done, math.ceil(self.done * budget / max(1, self.cost.tokens_computed))))

    def weights(self) -> dict[str, torch.Tensor]:
        """Return everything that is trained: the policy's weights and those of a separate value network."""
        values = {} if self.critic is None else self.critic.network.trainable_parameters()
        named = self.policy.trainable_parameters() | {f"critic.{name}": weight for name, weight in values.items()}
        return {name: weight.detach() for name, weight in named.items()}

    def state(self) -> dict[str, Any]:
        """Return what the next step depends on besides the weights."""
        return {
            "optimizer": self.optimizer.state_dict(),
            "cursor": self.order.cursor,
            "parts": {slot: part.state_dict() for slot, part in parts_of(self.config).items()},
            "cost": self.cost.to_dict(),
            "warned": self._warned,
            "critic": None if self.critic is None else self.critic.state_dict(),
            "slots": None if self.pool is None else self.pool.state_dict(),
        }

    def load(self, weights: Mapping[str, torch.Tensor], state: Mapping[str, Any]) -> None:
        """Take over weights and state of a checkpoint."""
        self._set_weights(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.order.cursor = state["cursor"]
        for slot, part in parts_of(self.config).items():
            part.load_state_dict(state["parts"][slot])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
        if self.pool is not None:
            self.pool.load_state_dict(state["slots"])
        self.cost = Cost(**state["cost"])
        self._warned = state["warned"]
        self.engine.policy_changed()
