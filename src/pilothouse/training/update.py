"""One batch of rollouts becomes one or more optimiser steps."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pilothouse.core.counter import row_key
from pilothouse.core.errors import DivergedError
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.objectives.base import Batch, Totals
from pilothouse.objectives.gap import sampler_gap
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.packing import SPARE_TOKENS, length_buckets
from pilothouse.policies.prompts import prompt_logprobs
from pilothouse.training.critic import Critic
from pilothouse.training.optimizer import Optimizer
from pilothouse.training.recipe import PolicyGradient


@dataclass
class Updater:
    """Applies a recipe's credit and objective to the policy.

    Args:
        recipe: the parts and settings.
        policy: what is trained.
        optimizer: over the policy's trainable parameters.
        reference: the frozen policy a KL is taken to, if the recipe needs one.
        critic: where values come from, if not from the policy.

    Attributes:
        before: [N, T] log-probabilities of the last batch under the policy that its update began with; NaN where
            nothing asked for them.
    """

    recipe: PolicyGradient
    policy: CausalPolicy
    optimizer: Optimizer
    reference: CausalPolicy | None
    critic: Critic | None = None
    before: Tensor | None = field(default=None, init=False)

    def prepare(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts with the log-probabilities and values that credit or the ratio need.

        Tokens drawn before the last update keep the log-probability they were drawn at: no later policy's ratio would
        start where the sampler was.
        """
        needs, fresh, earlier = self.recipe.policy_needs, dict[str, Tensor](), rollouts.earlier
        again = bool((earlier & rollouts.train_mask).any())
        if again or not self.recipe.single_update or needs & {"old_logprobs", "values", "entropies"}:
            wanted = needs & {"values", "entropies"}
            fresh |= self._score(self.policy, rollouts, rollouts.action_mask, wanted)
            fresh["old_logprobs"] = torch.where(earlier, rollouts.sampler_logprobs, fresh.pop("logprobs"))
        if self.critic is not None:
            fresh |= self.critic.values(rollouts)
        if "ref_logprobs" in needs:
            assert self.reference is not None
            fresh["ref_logprobs"] = self._score(self.reference, rollouts, rollouts.action_mask)["logprobs"]
        prompts = {"prompt_logprobs": self._score_prompts(rollouts)} if "prompt_logprobs" in needs else {}
        return rollouts.replace(**fresh, **prompts)

    def update(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], step: int, seeds: SeedTree) -> dict[str, float]:
        """Take the optimiser steps of one batch and return their mean metrics.

        Args:
            rollouts: prepared and selected rollouts.
            weights: credit of each response token.
            step: training step, for the schedule and for messages.
            seeds: node that shuffles the rows of each pass.

        Raises:
            DivergedError: the loss or the gradient is not finite; the weights are left as they were.
        """
        returns = self.recipe.credit.returns(rollouts)
        self.before = rollouts.old_logprobs
        if self.before is None:  # a single update computes them on its way
            self.before = torch.full(rollouts.tokens.shape, math.nan)
        rows = rollouts.train_mask.any(dim=1).nonzero().flatten()
        figures: dict[str, list[float]] = defaultdict(list)
        for epoch in range(self.recipe.training.epochs):
            order = rows
            dropout = (seeds / "dropout" / epoch).integer()
            if self.recipe.training.minibatches > 1:
                order = rows[torch.randperm(len(rows), generator=(seeds / epoch).torch())]
            for part in order.chunk(self.recipe.training.minibatches):
                for name, figure in self._step(rollouts, weights, returns, part, step, dropout).items():
                    figures[name].append(figure)
        return {name: math.fsum(values) / len(values) for name, values in figures.items()}

    def _step(
        self, rollouts: Rollouts, weights: Tensor, returns: Tensor | None, rows: Tensor, step: int, dropout: int
    ) -> dict[str, float]:
        """One optimiser step over ``rows``, in micro-batches that add up to the same gradient however they are cut."""
        targets = None if returns is None else returns[rows]
        totals = Totals.of(rollouts.train_mask[rows], rollouts.max_length, weights[rows], targets)
        if self.recipe.objective.ignores_weightless():
            rows = rows[(weights[rows] != 0).any(dim=1)]  # an episode of zero weight has exactly zero gradient
        if not len(rows):
            return {"updated": 0.0}
        marks = self._marks(rollouts, weights, rows)
        share = totals.tokens / int(rollouts.train_mask[rows].sum())  # metrics are means over the tokens computed
        metrics: dict[str, float] = defaultdict(float)
        taken, sampled = [], []
        self.optimizer.zero_grad()
        lengths = torch.tensor([len(rollouts.prompts[i]) for i in rows.tolist()]) + rollouts.lengths[rows]
        for bucket in length_buckets(lengths, self.recipe.training.micro_tokens, SPARE_TOKENS):
            chosen = rows[bucket]
            part = rollouts.take(chosen)
            width = part.tokens.shape[1]
            targets = None if returns is None else returns[chosen][:, :width]
            marked = None if marks is None else marks[chosen][:, :width]
            keys = dropout_keys(dropout, chosen, width) if self.recipe.value_head.dropout else None
            batch = self._batch(part, weights[chosen][:, :width], targets, marked, totals, keys)
            loss, figures = self.recipe.objective(batch)
            loss.backward()
            metrics["loss"] += float(loss.detach())
            for name, figure in figures.items():
                metrics[name] += figure * share
            taken.append(batch.old_logprobs[batch.mask].cpu())
            if rollouts.old_logprobs is None:
                self._note(chosen, part.train_mask, taken[-1])
            sampled.append(part.sampler_logprobs[part.train_mask])
        norm = self.optimizer.clip()
        if not math.isfinite(norm) or not math.isfinite(metrics["loss"]):
            raise DivergedError(
                f"step {step + 1}: loss {metrics['loss']:.4g} and gradient norm {norm:.4g} are not both finite; the "
                "weights are as they were: resume with a lower --training.learning_rate or a larger --group"
            )
        self.optimizer.step(step)
        before, acted = torch.cat(taken), torch.cat(sampled)
        gap = sampler_gap(before, acted)
        return {**metrics, **gap, "grad_norm": norm, "updated": 1.0, "rows_computed": float(len(rows))}

    def _note(self, rows: Tensor, mask: Tensor, logprobs: Tensor) -> None:
        """Keep the log-probabilities of the masked tokens of some episodes."""
        assert self.before is not None
        table = torch.full(mask.shape, math.nan)
        table[mask] = logprobs.float()
        self.before[rows, : mask.shape[1]] = table

    def _marks(self, rollouts: Rollouts, weights: Tensor, rows: Tensor) -> Tensor | None:
        """What the objective singles out of this step, from a forward pass over all of it; [N, T] like the weights."""
        if "marks" not in self.recipe.policy_needs:
            return None
        part = rollouts.take(rows)
        width = part.tokens.shape[1]
        now = self._score(self.policy, part, part.train_mask)["logprobs"]
        found = self.recipe.objective.mark(now, weights[rows][:, :width], part.train_mask)
        assert found is not None
        marks = torch.zeros(rollouts.tokens.shape, dtype=torch.bool)
        marks[rows, :width] = found
        return marks

    def _batch(
        self,
        part: Rollouts,
        weights: Tensor,
        returns: Tensor | None,
        marks: Tensor | None,
        totals: Totals,
        dropout: Tensor | None,
    ) -> Batch:
        needs, device = self.recipe.policy_needs, self.policy.device
        scores = self.policy.token_scores(
            part.prompts,
            part.tokens,
            part.train_mask,
            temperature=temperatures(part),
            entropy="entropy" in needs,
            values="values" in needs,
            values_after="values_after" in needs,
            dropout=dropout,
            chunk_tokens=self.recipe.training.chunk_tokens or None,
        )

        def there(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device)

        old = scores.logprobs.detach() if part.old_logprobs is None else part.old_logprobs.to(device)
        return Batch(
            logprobs=scores.logprobs,
            old_logprobs=old,
            weights=weights.to(device),
            mask=part.train_mask.to(device),
            totals=totals,
            sampler_logprobs=there(part.sampler_logprobs),
            ref_logprobs=there(part.ref_logprobs),
            entropy=scores.entropy,
            values=scores.values,
            values_after=scores.values_after,
            old_values=there(part.values),
            returns=there(returns),
            marks=there(marks),
        )

    @torch.no_grad()
    def _score(
        self, policy: CausalPolicy, rollouts: Rollouts, mask: Tensor, wanted: frozenset[str] = frozenset()
    ) -> dict[str, Tensor]:
        """Score the masked tokens: "logprobs", and of {"values", "entropies"} what is wanted; all [N, T]."""
        found = {name: torch.zeros(rollouts.tokens.shape) for name in ("logprobs", *sorted(wanted))}
        lengths = torch.tensor([len(p) for p in rollouts.prompts]) + rollouts.lengths
        for bucket in length_buckets(lengths, self.recipe.training.micro_tokens, SPARE_TOKENS):
            part = rollouts.take(bucket)
            width = part.tokens.shape[1]
            scores = policy.token_scores(
                part.prompts,
                part.tokens,
                mask[bucket][:, :width],
                temperature=temperatures(part),
                entropy="entropies" in wanted,
                values="values" in wanted,
                chunk_tokens=self.recipe.training.chunk_tokens or None,
            )
            scored = {"logprobs": scores.logprobs, "values": scores.values, "entropies": scores.entropy}
            for name, table in found.items():
                figures = scored[name]
                assert figures is not None
                table[bucket, :width] = figures.cpu()
        return found

    def _score_prompts(self, rollouts: Rollouts) -> tuple[tuple[float, ...], ...]:
        """Score each distinct prompt once, at the temperature its responses were sampled at."""
        asked = list(zip(rollouts.prompts, temperatures(rollouts).tolist(), strict=True))
        distinct = list(dict.fromkeys(asked))
        rows: list[tuple[float, ...]] = [()] * len(distinct)
        lengths = torch.tensor([len(prompt) for prompt, _ in distinct])
        for bucket in length_buckets(lengths, self.recipe.training.micro_tokens, SPARE_TOKENS):
            chosen = bucket.tolist()
            scored = prompt_logprobs(
                self.policy,
                [distinct[i][0] for i in chosen],
                temperature=torch.tensor([distinct[i][1] for i in chosen]),
                chunk_tokens=self.recipe.training.chunk_tokens or None,
            )
            for i, row in zip(chosen, scored, strict=True):
                rows[i] = row
        found = dict(zip(distinct, rows, strict=True))
        return tuple(found[key] for key in asked)


def temperatures(rollouts: Rollouts) -> Float[Tensor, " N"]:
    """Return the temperature each episode was sampled at: the policy that acted is the policy that learns."""
    return torch.tensor([e.temperature for e in rollouts.episodes])


def dropout_keys(seed: int, rows: Int[Tensor, " B"], width: int) -> Int[Tensor, "B T+1"]:
    """Return a number for each state of each episode: the same ones however episodes are put into micro-batches.

    Args:
        seed: of this pass over the rollouts.
        rows: indices of the episodes among all.
        width: response tokens T; there is one state more.
    """
    mine = torch.tensor([row_key(seed, row) for row in rows.tolist()], dtype=torch.long)
    return mine[:, None] ^ (torch.arange(width + 1) << 32)
