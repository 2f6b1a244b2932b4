"""A value network beside the policy, with weights, optimiser and data of its own."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad as widen

from pilothouse.core.errors import DivergedError
from pilothouse.core.rollouts import Rollouts
from pilothouse.core.seeds import SeedTree
from pilothouse.objectives.aggregate import aggregate
from pilothouse.objectives.base import Totals
from pilothouse.objectives.value import value_errors
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.packing import SPARE_TOKENS, length_buckets
from pilothouse.training.optimizer import Optimizer
from pilothouse.training.recipe import PolicyGradient


@dataclass
class Critic:
    """Values of states, learnt from responses that have ended, whatever the policy learns from.

    Args:
        recipe: the parts and settings; the credit names the targets.
        network: a policy whose value head is what counts.
        optimizer: over its trainable parameters.
        skipped: steps at which no response had ended, so that there was nothing to learn.
    """

    recipe: PolicyGradient
    network: CausalPolicy
    optimizer: Optimizer
    skipped: int = 0

    @staticmethod
    def beside(recipe: PolicyGradient, policy: CausalPolicy) -> Critic:
        """Return a critic whose network begins with the policy's weights as they are now."""
        network = policy.value_network(recipe.value_head)
        if recipe.training.gradient_checkpointing:
            network.gradient_checkpointing()
        rate = recipe.critic.learning_rate or 2 * recipe.training.learning_rate
        settings = recipe.training.model_copy(update={"learning_rate": rate})
        return Critic(recipe, network, Optimizer(network.trainable_parameters(), settings))

    @torch.no_grad()
    def values(self, rollouts: Rollouts) -> dict[str, Tensor]:
        """Return "values" [N, T] of the state of each action, and "final_values" [N] if the credit reads them."""
        tokens, mask = widen(rollouts.tokens, (0, 1)), widen(rollouts.action_mask, (0, 1))
        after = "final_values" in self.recipe.needs
        if after:
            mask = mask.scatter(1, rollouts.lengths[:, None], True)
        found = torch.zeros(mask.shape)
        for rows in self._buckets(rollouts):
            width = int(rollouts.lengths[rows].max()) + 1
            found[rows, :width] = self._values(rollouts.prompts, tokens, mask, rows, width).cpu()
        values = torch.where(rollouts.action_mask, found[:, :-1], 0.0)
        return {"values": values} | (
            {"final_values": found.gather(1, rollouts.lengths[:, None])[:, 0]} if after else {}
        )

    def update(self, rollouts: Rollouts, step: int, seeds: SeedTree) -> dict[str, float]:
        """Fit the values to the returns of the responses that have ended, each from its first token to its last.

        Args:
            rollouts: prepared rollouts; what a selector silenced for the policy trains the values all the same.
            step: training step, for the schedule and for messages.
            seeds: node that shuffles the rows of each pass.

        Returns:
            Mean metrics: half the squared error, the share of the returns' variance that the values explained before
            the update, the norm of the gradient, the responses and tokens learnt from, the steps skipped so far.

        Raises:
            DivergedError: the loss or the gradient is not finite; the weights are left as they were.
        """
        ended = rollouts.ended()
        ended = ended.replace(train_mask=ended.action_mask & ended.rewards.isfinite()[:, None])
        rows = ended.train_mask.any(dim=1).nonzero().flatten()
        if not len(rows):
            self.skipped += 1
            return {"critic/responses": 0.0, "critic/skipped": float(self.skipped)}
        returns, settings = self.recipe.credit.returns(ended), self.recipe.critic
        assert returns is not None
        figures: dict[str, list[float]] = defaultdict(list)
        for epoch in range(settings.epochs):
            order = rows
            if settings.minibatches > 1:
                order = rows[torch.randperm(len(rows), generator=(seeds / epoch).torch())]
            for part in order.chunk(settings.minibatches):
                for name, figure in self._step(ended, returns, part, step).items():
                    figures[name].append(figure)
        return {
            **{f"critic/{name}": math.fsum(values) / len(values) for name, values in figures.items()},
            "critic/explained_variance": explained_variance(ended, returns),
            "critic/responses": float(len(rows)),
            "critic/tokens": float(ended.train_mask.sum()),
            "critic/skipped": float(self.skipped),
        }

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps besides the weights."""
        return {"optimizer": self.optimizer.state_dict(), "skipped": self.skipped}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.skipped = state["skipped"]

    def _step(self, ended: Rollouts, returns: Float[Tensor, "N T"], rows: Tensor, step: int) -> dict[str, float]:
        """One optimiser step over ``rows``, in micro-batches that add up to the same gradient however they are cut."""
        totals = Totals.of(ended.train_mask[rows], ended.max_length)
        total = 0.0
        self.optimizer.zero_grad()
        for bucket in self._buckets(ended.take(rows)):
            chosen = rows[bucket]
            width = int(ended.lengths[chosen].max())
            mask = ended.train_mask[chosen, :width]
            now = self._values(ended.prompts, ended.tokens, ended.train_mask, chosen, width)
            target, old = (table[chosen, :width].to(now.device) for table in (returns, _known(ended)))
            errors, _ = value_errors(now, target, old, self.recipe.critic.eps)
            loss = aggregate(errors, mask.to(now.device), "token-mean", totals)
            loss.backward()
            total += float(loss.detach())
        norm = self.optimizer.clip()
        if not math.isfinite(norm) or not math.isfinite(total):
            raise DivergedError(
                f"step {step + 1}: the value network's loss {total:.4g} and gradient norm {norm:.4g} are not both "
                "finite; the weights are as they were: resume with a lower --critic.learning_rate"
            )
        self.optimizer.step(step)
        return {"loss": total, "grad_norm": norm}

    def _buckets(self, rollouts: Rollouts) -> list[Tensor]:
        lengths = torch.tensor([len(prompt) for prompt in rollouts.prompts]) + rollouts.lengths
        return length_buckets(lengths, self.recipe.training.micro_tokens, SPARE_TOKENS)

    def _values(
        self, prompts: tuple[tuple[int, ...], ...], tokens: Tensor, mask: Tensor, rows: Tensor, width: int
    ) -> Float[Tensor, "B T"]:
        chosen = [prompts[row] for row in rows.tolist()]
        return self.network.state_values(chosen, tokens[rows, :width], mask[rows, :width])


def explained_variance(rollouts: Rollouts, returns: Float[Tensor, "N T"]) -> float:
    """Return ``1 - Var(R - V) / Var(R)`` over the trained tokens; NaN when all returns are as good as equal.

    Args:
        rollouts: episodes with values.
        returns: [N, T] what came of each state.
    """
    target = returns[rollouts.train_mask].double()
    spread = target.var(correction=0)
    error = (target - _known(rollouts)[rollouts.train_mask].double()).var(correction=0)
    return float(1 - error / spread) if spread > 1e-12 else math.nan  # rounding leaves equal returns a spread


def _known(rollouts: Rollouts) -> Float[Tensor, "N T"]:
    assert rollouts.values is not None
    return rollouts.values
