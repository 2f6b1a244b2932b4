"""ProGRPO's credit: confident answers are reinforced less, unlikely right ones more."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from pydantic import Field, PrivateAttr
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.confidence import confidence
from pilothouse.credit.modifier import Modifier
from pilothouse.credit.normalize import moments


class ProGRPO(Modifier):
    """``A + alpha (c(prompt) - c(response))`` in groups with a right response; elsewhere A as it is.

    The advantage re-weighting of ProGRPO (arXiv 2602.05281). Confidences are probabilities under the policy that
    sampled, at its temperature, over the least likely fifth of the tokens; no gradient flows through them. Whitening
    the result would undo it and is refused.

    Args:
        alpha: weight of the shift; too much unlearns right answers too.
        fraction: share of the tokens, the least likely ones, that confidence is read from.
        threshold: count tokens of at most this probability instead of a share.
        prompt_tokens: "low" takes the same share of the prompt's tokens, "all" its inverse perplexity.
        skip_all_correct: leave groups alone whose responses are all right.
        correct_above: rewards above it are right.
    """

    name: ClassVar[str] = "progrpo"
    alpha: Annotated[float, Field(ge=0)] = 0.3
    fraction: Annotated[float, Field(gt=0, le=1)] = 0.2
    threshold: Annotated[float, Field(gt=0, le=1)] | None = None
    prompt_tokens: Literal["low", "all"] = "low"
    skip_all_correct: bool = False
    correct_above: float = 0.0
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    def after(self, weights: Float[Tensor, "N T"], rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the shifted weights; what does not train stays 0."""
        self._figures = {}
        live = rollouts.train_mask.any(dim=1) & rollouts.rewards.isfinite()
        rows = live.nonzero().flatten()
        if not self.alpha or not len(rows):
            return weights
        right = rollouts.rewards > self.correct_above
        share = moments(right.float(), rollouts.groups, rollouts.stats_mask & rollouts.rewards.isfinite()).mean
        on = share > 0
        if self.skip_all_correct:
            on &= share < 1
        asked, answered = self.prompt_confidence(rollouts), torch.zeros_like(rollouts.rewards)
        answered[rows] = self.response_confidence(rollouts)[rows]
        self._look(rollouts, answered, asked, right & live)
        shift = self.alpha * torch.where(on & live, asked - answered, 0.0)
        return weights + shift[:, None] * rollouts.train_mask

    def response_confidence(self, rollouts: Rollouts) -> Float[Tensor, " N"]:
        """Return c(response); 0 for episodes in which the policy chose no token."""
        known = rollouts.sampler_logprobs
        if rollouts.old_logprobs is not None:  # what the sampler could not tell, the trainer can
            known = torch.where(known.isfinite(), known, rollouts.old_logprobs)
        found, acted = torch.zeros(len(rollouts), dtype=known.dtype), rollouts.action_mask.any(dim=1)
        found[acted] = confidence(known[acted], rollouts.action_mask[acted], self.fraction, self.threshold)
        return found

    def prompt_confidence(self, rollouts: Rollouts) -> Float[Tensor, " N"]:
        """Return c(prompt); a prompt of one token has none to predict and is certain.

        Raises:
            ConfigError: the log-probabilities of the prompts were not computed.
        """
        scored = rollouts.prompt_logprobs
        if len(scored) != len(rollouts):
            raise ConfigError("credit 'progrpo' needs prompt_logprobs; compute them first")
        width = max(map(len, scored))
        found, some = torch.ones(len(scored)), torch.tensor([bool(row) for row in scored])
        if width:
            padded = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in scored])
            mask = torch.arange(width) < torch.tensor([len(row) for row in scored])[:, None]
            low = self.prompt_tokens == "low"
            fraction, threshold = (self.fraction, self.threshold) if low else (1.0, None)
            found[some] = confidence(padded[some], mask[some], fraction, threshold)
        return found.to(rollouts.rewards.dtype)

    def _look(
        self,
        rollouts: Rollouts,
        answered: Float[Tensor, " N"],
        asked: Float[Tensor, " N"],
        right: Bool[Tensor, " N"],
    ) -> None:
        group = moments(answered, rollouts.groups, right)
        self._figures = {"confidence/prompt": float(asked.mean())}
        if right.any():
            self._figures["confidence/right"] = float(answered[right].mean())
            self._figures["confidence/right_spread"] = float(group.std[right].mean())

    def requirements(self) -> frozenset[str]:
        """Return the prompts' log-probabilities, and what the inner credit needs."""
        return self.of.requirements() | {"prompt_logprobs"}

    def scale_matters(self) -> bool:
        """Return True: a standardisation would take the common shift out again."""
        return True

    def figures(self) -> dict[str, float]:
        """Return the last batch's mean confidences, their spread in a group's right answers, and the inner ones."""
        return {**self.of.figures(), **self._figures}
