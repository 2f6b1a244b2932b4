"""The objective protocol: a loss over one micro-batch that states its denominator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import model_validator
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import SLOT, Catalogue, Part, Settings, SummedCatalogue


@dataclass(frozen=True)
class Totals:
    """The denominators of a whole optimiser step, however it is split into micro-batches.

    Args:
        tokens: tokens with a loss.
        sequences: episodes with at least one such token.
        max_length: the length limit of a response, in tokens.
        weighted: tokens with a loss whose weight is not 0.
        targets: tokens with a loss and a target for a value head.
    """

    tokens: int
    sequences: int
    max_length: int
    weighted: int = 0
    targets: int = 0

    @staticmethod
    def of(
        mask: Bool[Tensor, "N T"],
        max_length: int | None = None,
        weights: Float[Tensor, "N T"] | None = None,
        returns: Float[Tensor, "N T"] | None = None,
    ) -> Totals:
        """Return the denominators of a batch.

        Args:
            mask: [N, T] tokens with a loss.
            max_length: the response length limit; T if not given.
            weights: [N, T] credit of each token.
            returns: [N, T] targets for a value head; NaN where there is none.
        """
        limit = mask.shape[1] if max_length is None else max_length
        weighted = 0 if weights is None else int((mask & (weights != 0)).sum())
        targets = 0 if returns is None else int((mask & ~returns.isnan()).sum())
        return Totals(int(mask.sum()), int(mask.any(dim=1).sum()), limit, weighted, targets)


@dataclass(frozen=True)
class Batch:
    """What a loss reads: one micro-batch, every tensor [B, T] and on the policy's device.

    Args:
        logprobs: log-probabilities of the taken tokens under the policy being trained; carries the gradient.
        old_logprobs: the same under the policy that started this update; no gradient.
        weights: credit of each token.
        mask: tokens with a loss.
        totals: denominators of the whole optimiser step.
        sampler_logprobs: the sampler's log-probabilities, NaN where unknown.
        ref_logprobs: log-probabilities under the reference policy, if an objective needs them.
        entropy: entropy of the policy at each token, if an objective needs it; carries the gradient.
        values: value head's estimates of the state each token was chosen in; carries the gradient.
        values_after: its estimates of the state after each token; carries the gradient.
        old_values: the estimates that credit was computed from.
        returns: the value head's targets; NaN at a token that has none, if the objective allows that.
        marks: tokens that the objective singled out of the whole optimiser step, see ``Objective.mark``.
    """

    logprobs: Float[Tensor, "B T"]
    old_logprobs: Float[Tensor, "B T"]
    weights: Float[Tensor, "B T"]
    mask: Bool[Tensor, "B T"]
    totals: Totals
    sampler_logprobs: Float[Tensor, "B T"] | None = None
    ref_logprobs: Float[Tensor, "B T"] | None = None
    entropy: Float[Tensor, "B T"] | None = None
    values: Float[Tensor, "B T"] | None = None
    values_after: Float[Tensor, "B T"] | None = None
    old_values: Float[Tensor, "B T"] | None = None
    returns: Float[Tensor, "B T"] | None = None
    marks: Bool[Tensor, "B T"] | None = None


class Objective(Part):
    """A loss. Objectives add and scale: ``Clipped() + 0.01 * ReferenceKL()``.

    Calling it returns ``(loss, metrics)``. The loss and every metric are already divided by the totals of the whole
    step, so that micro-batches simply add up.

    Class attributes:
        needs: what the trainer must supply besides log-probabilities, of {"ref_logprobs", "entropy", "values",
            "values_after", "marks"}.
        weights_only: True when an episode whose weights are all 0 adds exactly nothing to loss and gradient, so that
            its forward pass can be skipped.
        reads_credit: False when neither the weights nor the returns of a credit enter it: by itself it learns nothing
            from rewards.
        paired: True when its rows are pairs of a better and a worse response, which rollouts are not.
    """

    catalogue: ClassVar[Catalogue] = SummedCatalogue("objective", "pilothouse.objectives")
    needs: ClassVar[frozenset[str]] = frozenset()
    weights_only: ClassVar[bool] = False
    reads_credit: ClassVar[bool] = True
    paired: ClassVar[bool] = False

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the micro-batch's share of the loss, and of each metric."""
        raise NotImplementedError

    def requirements(self) -> frozenset[str]:
        """Return what this objective, with its settings, needs supplied."""
        return self.needs

    def mark(
        self, logprobs: Float[Tensor, "N T"], weights: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]
    ) -> Bool[Tensor, "N T"] | None:
        """Return tokens singled out by figures of the whole optimiser step, which no micro-batch can see.

        Args:
            logprobs: [N, T] under the policy as it is before this step; no gradient.
            weights: [N, T] credit of each token.
            mask: [N, T] tokens with a loss.
        """
        return None

    def supplied(self, tensor: Tensor | None, what: str) -> Tensor:
        """Return ``tensor``, one of the batch's optional fields.

        Raises:
            ConfigError: the batch was made without it.
        """
        if tensor is None:
            raise ConfigError(f"objective '{self.name}' needs {what}; fill that field of its Batch")
        return tensor

    def ignores_weightless(self) -> bool:
        """Return whether episodes of zero weight can be skipped under these settings."""
        return self.weights_only

    def learns_from_credit(self) -> bool:
        """Return whether the weights or the returns of a credit enter the loss."""
        return self.reads_credit

    def wants_pairs(self) -> bool:
        """Return whether its rows must be pairs."""
        return self.paired

    def takes_unfinished(self) -> bool:
        """Return whether the tokens with a loss may be a piece of their response under these settings."""
        return True

    def __add__(self, other: Objective) -> Sum:
        """Return the objective whose loss is the sum of both."""
        return Sum(terms=[*_terms(self), *_terms(other)])

    def __rmul__(self, factor: float) -> Sum:
        """Return this objective scaled by a number."""
        return Sum(terms=[Term(weight=factor * term.weight, part=term.part) for term in _terms(self)])


class Term(Settings):
    """A weighted objective."""

    weight: float = 1.0
    part: Annotated[Objective, SLOT]


def _terms(objective: Objective) -> list[Term]:
    return objective.terms if isinstance(objective, Sum) else [Term(weight=1.0, part=objective)]


class Sum(Objective):
    """A weighted sum of objectives.

    Args:
        terms: the objectives and their weights.
    """

    name: ClassVar[str] = "sum"
    terms: list[Term]

    @model_validator(mode="after")
    def _one_marks(self) -> Sum:
        if sum("marks" in term.part.requirements() for term in self.terms) > 1:
            raise ValueError("two terms single out tokens of a step and would overwrite each other: keep one of them")
        return self

    def __call__(self, batch: Batch) -> tuple[Float[Tensor, ""], dict[str, float]]:
        """Return the weighted sum of the terms' losses and all their metrics."""
        total, metrics = torch.zeros((), device=batch.logprobs.device), dict[str, float]()
        for term in self.terms:
            loss, figures = term.part(batch)
            total = total + term.weight * loss
            metrics.update(figures)
        return total, metrics

    def requirements(self) -> frozenset[str]:
        """Return what any term needs."""
        return frozenset[str]().union(*(term.part.requirements() for term in self.terms))

    def mark(
        self, logprobs: Float[Tensor, "N T"], weights: Float[Tensor, "N T"], mask: Bool[Tensor, "N T"]
    ) -> Bool[Tensor, "N T"] | None:
        """Return the tokens that the one term that singles out any does."""
        found = (term.part.mark(logprobs, weights, mask) for term in self.terms)
        return next((marks for marks in found if marks is not None), None)

    def ignores_weightless(self) -> bool:
        """Return whether every term ignores episodes of zero weight."""
        return all(term.part.ignores_weightless() for term in self.terms)

    def learns_from_credit(self) -> bool:
        """Return whether any term learns from it."""
        return any(term.part.learns_from_credit() for term in self.terms)

    def wants_pairs(self) -> bool:
        """Return whether any term wants them."""
        return any(term.part.wants_pairs() for term in self.terms)

    def takes_unfinished(self) -> bool:
        """Return whether every term takes pieces of responses."""
        return all(term.part.takes_unfinished() for term in self.terms)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every term that has one, by position."""
        return {str(i): term.part.state_dict() for i, term in enumerate(self.terms) if term.part.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        """Restore the terms' state."""
        for i, term in enumerate(self.terms):
            term.part.load_state_dict(state.get(str(i), {}))
