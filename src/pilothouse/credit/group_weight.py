"""Group weights: the whole group of attempts at a prompt counts more or less, by a criterion of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field, PrivateAttr, model_validator
from torch import Tensor

from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.parts import SLOT, Catalogue, Part, validated
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.modifier import Modifier


@dataclass(frozen=True)
class Attempts:
    """What a criterion may look at: every counted attempt, by group.

    Args:
        rewards: [N] finite total rewards.
        lengths: [N] response tokens, the one that ended it included.
        truncated: [N] responses that hit their length limit.
        groups: [N] the group of each, from 0.
        count: number of groups.
    """

    rewards: Float[Tensor, " N"]
    lengths: Int[Tensor, " N"]
    truncated: Bool[Tensor, " N"]
    groups: Int[Tensor, " N"]
    count: int

    def total(self, values: Tensor) -> Float[Tensor, " P"]:
        """Return the sum of [N] values over each group."""
        return torch.zeros(self.count, dtype=torch.double).index_add_(0, self.groups, values.double())


class _Criteria(Catalogue):
    """Criteria join: ``a and b``, ``a or b``."""

    def parse(self, text: str) -> Part:
        for how in ("and", "or"):
            names = [name.strip() for name in text.split(f" {how} ")]
            if len(names) > 1:
                settings = {"parts": [super(_Criteria, self).parse(name) for name in names], "how": how}
                return validated(self.find("combined"), settings, f"criterion '{text}'")
        return super().parse(text)


class Criterion(Part):
    """Says which groups are favoured."""

    catalogue: ClassVar[Catalogue] = _Criteria("criterion", "pilothouse.credit")

    def __call__(self, attempts: Attempts) -> Bool[Tensor, " P"]:
        """Return True for every favoured group."""
        raise NotImplementedError


class LengthAdvantage(Criterion):
    """Favours prompts whose longest right response is longer than the mean of the wrong ones.

    A tie is no advantage. Truncated responses say nothing of how long a wrong answer is, so they are left out of that
    mean.

    Args:
        correct_above: rewards above it are right.
        no_correct: what a group without a right response is.
        no_wrong: what a group without a usable wrong response is; one without either is ``no_correct``.
        skip_truncated: leave wrong responses that hit their limit out of the mean.
        length_cap: leave wrong responses of at least so many tokens out too; 0 leaves out none.

    Source: arXiv 2602.10019, the length advantage; the empty cases are those of the released code.
    """

    name: ClassVar[str] = "length-advantage"
    correct_above: float = 0.5
    no_correct: bool = False
    no_wrong: bool = False
    skip_truncated: bool = True
    length_cap: Annotated[int, Field(ge=0)] = 0

    def __call__(self, attempts: Attempts) -> Bool[Tensor, " P"]:
        """Return which groups have the advantage."""
        lengths = attempts.lengths.double()
        right = attempts.rewards > self.correct_above
        wrong = ~right
        if self.skip_truncated:
            wrong &= ~attempts.truncated
        if self.length_cap:
            wrong &= attempts.lengths < self.length_cap
        longest = lengths.new_zeros(attempts.count).scatter_reduce_(0, attempts.groups, lengths * right, "amax")
        many = attempts.total(wrong)
        mean = attempts.total(lengths * wrong) / many.clamp(min=1)
        found = torch.where(many > 0, longest > mean, self.no_wrong)
        return torch.where(attempts.total(right) > 0, found, self.no_correct)


class DifficultyAdvantage(Criterion):
    """Favours prompts that are solved at most a share ``tau`` of the time.

    Args:
        tau: that share, itself included.
        correct_above: rewards above it are right.

    Source: arXiv 2602.10019, the difficulty advantage.
    """

    name: ClassVar[str] = "difficulty-advantage"
    tau: Annotated[float, Field(ge=0, le=1)] = 0.5
    correct_above: float = 0.5

    def __call__(self, attempts: Attempts) -> Bool[Tensor, " P"]:
        """Return which groups are hard."""
        ones = torch.ones_like(attempts.rewards)
        return attempts.total(attempts.rewards > self.correct_above) / attempts.total(ones) <= self.tau


class Combined(Criterion):
    """Several criteria as one.

    Args:
        parts: the criteria.
        how: "and" favours what all of them favour, "or" what any does.
    """

    name: ClassVar[str] = "combined"
    parts: list[Annotated[Criterion, SLOT]]
    how: Literal["and", "or"] = "and"

    def __call__(self, attempts: Attempts) -> Bool[Tensor, " P"]:
        """Return which groups the criteria favour together."""
        each = torch.stack([part(attempts) for part in self.parts])
        return each.all(dim=0) if self.how == "and" else each.any(dim=0)


class GroupWeighted(Modifier):
    """Multiplies the inner credit's weights by one number for each group.

    The number comes from this batch's attempts alone and carries no gradient. Whitening the product would dilute it
    and is refused.

    Args:
        criterion: which groups are favoured; write ``"length-advantage and difficulty-advantage"`` for both.
        favoured: weight of those groups.
        other: weight of all others.
        start: first step, from 0, at which it acts.
        end: first step at which it acts no more; 0 never stops.

    Raises:
        ConfigError: ``end`` is set and not after ``start``, or there is a group weight inside already at those steps.
    """

    name: ClassVar[str] = "group-weighted"
    criterion: Annotated[Criterion, SLOT] = LengthAdvantage()
    favoured: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    other: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.1
    start: Annotated[int, Field(ge=0)] = 0
    end: Annotated[int, Field(ge=0)] = 0
    _step: int = PrivateAttr(default=0)
    _classes: dict[str, bool] = PrivateAttr(default_factory=dict[str, bool])
    _figures: dict[str, float] = PrivateAttr(default_factory=dict[str, float])

    @model_validator(mode="after")
    def _acts(self) -> GroupWeighted:
        if self.end and self.end <= self.start:
            raise ValueError(f"end {self.end} must be after start {self.start}, or 0 for no end")
        return self

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the inner credit's weights on the next batch, each group's times its own."""
        weights = super().__call__(rollouts)
        self._step += 1
        return weights

    def after(self, weights: Float[Tensor, "N T"], rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the weighted weights."""
        labels = torch.tensor(sorted({int(group) for group in rollouts.groups}))
        index = torch.searchsorted(labels, rollouts.groups)
        favoured = self.favours(rollouts, index, len(labels))
        self._observe(rollouts, index, favoured)
        if self._step < self.start or (self.end and self._step >= self.end):
            return weights
        weight = torch.where(favoured, self.favoured, self.other)
        self._figures["group_weight"] = float(weight.mean())
        return weights * weight[index][:, None].to(weights.dtype)

    def favours(self, rollouts: Rollouts, index: Int[Tensor, " N"], count: int) -> Bool[Tensor, " P"]:
        """Return which groups the criterion favours; those without a counted reward are not.

        Args:
            rollouts: the batch.
            index: [N] group of each episode, from 0.
            count: number of groups.

        Raises:
            DataError: a response has no token.
        """
        kept = rollouts.stats_mask & rollouts.rewards.isfinite()
        if kept.any() and int(rollouts.lengths[kept].min()) <= 0:
            raise DataError("a response of no tokens has no length to weigh its group by; leave such episodes out")
        judged = index[kept]
        alive = torch.zeros(count, dtype=torch.bool).index_fill_(0, judged, True)
        attempts = Attempts(rollouts.rewards[kept], rollouts.lengths[kept], rollouts.truncated[kept], judged, count)
        return self.criterion(attempts) & alive

    def _observe(self, rollouts: Rollouts, index: Int[Tensor, " N"], favoured: Bool[Tensor, " P"]) -> None:
        """Note the share of favoured groups, and of problems that changed class since they were last met."""
        self._figures = {"group_favoured": float(favoured.float().mean())}
        names = {episode.problem_id: int(group) for episode, group in zip(rollouts.episodes, index, strict=False)}
        changed = [
            self._classes[name] != bool(favoured[group]) for name, group in names.items() if name in self._classes
        ]
        if changed:
            self._figures["group_flicker"] = sum(changed) / len(changed)
        self._classes.update({name: bool(favoured[group]) for name, group in names.items()})

    def compares_within_groups(self) -> bool:
        """Return True: a group of one attempt has nothing to judge its prompt by."""
        return True

    def scale_matters(self) -> bool:
        """Return True: it is nothing but scale."""
        return True

    def figures(self) -> dict[str, float]:
        """Return the share of favoured groups, how many changed class, the mean weight, and the inner figures."""
        return {**self.of.figures(), **self._figures}

    def state_dict(self) -> dict[str, Any]:
        """Return the step, every problem's class, and the inner credit's state."""
        return {"step": self._step, "classes": dict(self._classes), "of": self.of.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore them."""
        if "step" not in state:
            raise ConfigError(f"credit '{self.name}' finds no step in the checkpoint; it is another part's")
        self._step, self._classes = state["step"], dict(state["classes"])
        self.of.load_state_dict(state["of"])
