"""The protocols of the credit room: selectors say which tokens train, credit says how much each one counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from pilothouse.core.parts import SLOT, Catalogue, Part, Settings, SummedCatalogue, validated
from pilothouse.core.problems import Score
from pilothouse.core.requests import Tokens
from pilothouse.core.rollouts import Rollouts

#: The task's verdicts on other responses of given episodes: (row, response token ids) of each.
Judge: TypeAlias = Callable[[Sequence[tuple[int, Tokens]]], list[Score]]


class _Chains(Catalogue):
    """Selectors compose by following one another: ``a + b``."""

    def parse(self, text: str) -> Part:
        names = [name.strip() for name in text.split("+")]
        if len(names) == 1:
            return super().parse(text)
        return validated(self.find("chain"), {"parts": names}, f"selector '{text}'")


class Select(Part):
    """Shrinks ``train_mask`` (what carries a loss) or ``stats_mask`` (what counts in statistics), never grows them.

    A step asks for ``prompts``, attempts them, and then calls ``revise`` (the verifier is at hand), the selector
    itself, the credit, and ``narrow`` (the credit's weights are at hand). Most selectors only need to be called.

    Class attributes:
        keeps_differing: True when groups train only if their rewards differ.
        drops_groups: True when it may silence whole groups, so that drawing more prompts can refill the batch.
        draws_ahead: True when it asks for more prompts than a step trains on, because some groups will be silenced.
        selects_unfinished: True when it makes sense of responses that training cuts into windows: it looks neither at
            rewards nor at whole groups.
        needs: what must be computed first, of {"old_logprobs", "ref_logprobs", "values", "entropies"}.
    """

    catalogue: ClassVar[Catalogue] = _Chains("selector", "pilothouse.credit")
    drops_groups: ClassVar[bool] = False
    keeps_differing: ClassVar[bool] = False
    draws_ahead: ClassVar[bool] = False
    selects_unfinished: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts with smaller masks."""
        raise NotImplementedError

    def prompts(self, wanted: int) -> int:
        """Return how many prompts to attempt at the next step so that ``wanted`` of them are left to train on."""
        return wanted

    def revise(self, rollouts: Rollouts, judge: Judge) -> Rollouts:
        """Return the rollouts with responses cut short, judged anew.

        Args:
            rollouts: the step's episodes before anything was computed from them.
            judge: the task's verdict on other responses.
        """
        return rollouts

    def narrow(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], progress: float) -> Rollouts:
        """Return the rollouts with a smaller ``train_mask``, now that the credit is known.

        Args:
            rollouts: the selected rollouts.
            weights: credit of each token.
            progress: share of the run that is over, in [0, 1).
        """
        return rollouts

    def requirements(self) -> frozenset[str]:
        """Return what this selector, with its settings, needs computed."""
        return self.needs

    def refuses(self, group_size: int) -> str:
        """Return why it cannot work on groups of this size, empty if it can.

        Args:
            group_size: episodes of a group; 0 when it varies.
        """
        return ""

    def figures(self) -> dict[str, float]:
        """Return what it did at the last step, for the metrics row."""
        return {}

    def may_drop_groups(self) -> bool:
        """Return whether whole groups may be silenced under these settings."""
        return self.drops_groups

    def wants_differences(self) -> bool:
        """Return whether groups train only if their rewards differ."""
        return self.keeps_differing

    def may_draw_ahead(self) -> bool:
        """Return whether more prompts may be asked for than a step trains on."""
        return self.draws_ahead

    def takes_unfinished(self) -> bool:
        """Return whether responses may be cut into windows under these settings."""
        return self.selects_unfinished

    def __add__(self, other: Select) -> Chain:
        """Return the selector that applies this one, then the other."""
        mine = self.parts if isinstance(self, Chain) else [self]
        theirs = other.parts if isinstance(other, Chain) else [other]
        return Chain(parts=[*mine, *theirs])


class Everything(Select):
    """Trains on every token the policy chose in an episode that was judged."""

    name: ClassVar[str] = "everything"
    selects_unfinished: ClassVar[bool] = True

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Return the rollouts unchanged."""
        return rollouts


class Chain(Select):
    """Selectors applied one after the other.

    Args:
        parts: the selectors, first to last.
    """

    name: ClassVar[str] = "chain"
    parts: list[Annotated[Select, SLOT]]

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Apply every selector in turn."""
        for part in self.parts:
            rollouts = part(rollouts)
        return rollouts

    def prompts(self, wanted: int) -> int:
        """Ask the parts in turn, last to first: each makes up for what it silences."""
        for part in reversed(self.parts):
            wanted = part.prompts(wanted)
        return wanted

    def revise(self, rollouts: Rollouts, judge: Judge) -> Rollouts:
        """Let every part revise in turn."""
        for part in self.parts:
            rollouts = part.revise(rollouts, judge)
        return rollouts

    def narrow(self, rollouts: Rollouts, weights: Float[Tensor, "N T"], progress: float) -> Rollouts:
        """Let every part narrow in turn."""
        for part in self.parts:
            rollouts = part.narrow(rollouts, weights, progress)
        return rollouts

    def requirements(self) -> frozenset[str]:
        """Return what any part needs."""
        return frozenset[str]().union(*(part.requirements() for part in self.parts))

    def refuses(self, group_size: int) -> str:
        """Return the first part's reason, if any has one."""
        return next((reason for part in self.parts if (reason := part.refuses(group_size))), "")

    def figures(self) -> dict[str, float]:
        """Return what every part did."""
        return {name: figure for part in self.parts for name, figure in part.figures().items()}

    def may_drop_groups(self) -> bool:
        """Return whether any part may silence whole groups."""
        return any(part.may_drop_groups() for part in self.parts)

    def wants_differences(self) -> bool:
        """Return whether any part lets groups train only if their rewards differ."""
        return any(part.wants_differences() for part in self.parts)

    def may_draw_ahead(self) -> bool:
        """Return whether any part may ask for more prompts."""
        return any(part.may_draw_ahead() for part in self.parts)

    def takes_unfinished(self) -> bool:
        """Return whether every part takes responses cut into windows."""
        return all(part.takes_unfinished() for part in self.parts)

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every part that has one, by position."""
        return {str(i): part.state_dict() for i, part in enumerate(self.parts) if part.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        """Restore the parts' state."""
        for i, part in enumerate(self.parts):
            part.load_state_dict(state.get(str(i), {}))


class Credit(Part):
    """Turns rewards into one weight per response token. Credits add and scale: ``0.5 * GRPO() + 0.5 * RLOO()``.

    Class attributes:
        needs: what must be there first, of {"old_logprobs", "ref_logprobs", "values", "final_values",
            "prompt_logprobs", "budgets"}; the last is the program's to give.
        group_relative: True when a group of one episode gives no signal; such configurations are refused.
        reads_labels: what the labels of a program's segments must tell, of {"tree"}; other programs are refused.
        teaches: which values ``returns`` are targets for: "values" (of the state each token was chosen in),
            "values_after" (of the state after it), or empty for none.
        credits_unfinished: True when a response that goes on at a later step has a credit before its reward is known.
    """

    catalogue: ClassVar[Catalogue] = SummedCatalogue("credit", "pilothouse.credit")
    needs: ClassVar[frozenset[str]] = frozenset()
    group_relative: ClassVar[bool] = False
    reads_labels: ClassVar[frozenset[str]] = frozenset()
    teaches: ClassVar[Literal["", "values", "values_after"]] = ""
    credits_unfinished: ClassVar[bool] = False

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the weight of each response token; 0 outside ``train_mask``."""
        raise NotImplementedError

    def returns(self, rollouts: Rollouts) -> Float[Tensor, "N T"] | None:
        """Return the value head's regression targets, for credits that train one; NaN at tokens without one."""
        return None

    def teaches_values(self) -> str:
        """Return which values ``returns`` are targets for under these settings."""
        return self.teaches

    def requirements(self) -> frozenset[str]:
        """Return what this credit, with its settings, needs computed."""
        return self.needs

    def compares_within_groups(self) -> bool:
        """Return whether a group of one episode would give no signal under these settings."""
        return self.group_relative

    def labels_read(self) -> frozenset[str]:
        """Return what the labels of a program's segments must tell under these settings."""
        return self.reads_labels

    def problems_needed(self) -> int:
        """Return the problems that a step must attempt at the least for this credit to give a signal."""
        return 1

    def takes_unfinished(self) -> bool:
        """Return whether responses may be cut into windows under these settings."""
        return self.credits_unfinished

    def scale_matters(self) -> bool:
        """Return whether a later standardisation of the weights would undo what this credit does."""
        return False

    def figures(self) -> dict[str, float]:
        """Return what this credit saw in its last batch, by name, for the metrics of the step."""
        return {}

    def __add__(self, other: Credit) -> Sum:
        """Return the credit whose weights are the sum of both."""
        return Sum(terms=[*_terms(self), *_terms(other)])

    def __rmul__(self, factor: float) -> Sum:
        """Return this credit scaled by a number."""
        return Sum(terms=[Term(weight=factor * term.weight, part=term.part) for term in _terms(self)])


class Term(Settings):
    """A weighted credit."""

    weight: float = 1.0
    part: Annotated[Credit, SLOT]


def _terms(credit: Credit) -> list[Term]:
    return credit.terms if isinstance(credit, Sum) else [Term(weight=1.0, part=credit)]


class Sum(Credit):
    """A weighted sum of credits.

    Args:
        terms: the credits and their weights.
    """

    name: ClassVar[str] = "sum"
    terms: list[Term]

    def __call__(self, rollouts: Rollouts) -> Float[Tensor, "N T"]:
        """Return the weighted sum of the terms' token weights."""
        total = torch.zeros(rollouts.tokens.shape)
        for term in self.terms:
            total = total + term.weight * term.part(rollouts)
        return total

    def returns(self, rollouts: Rollouts) -> Float[Tensor, "N T"] | None:
        """Return the targets of the first term that has any."""
        found = (term.part.returns(rollouts) for term in self.terms)
        return next((targets for targets in found if targets is not None), None)

    def teaches_values(self) -> str:
        """Return what the first term that has targets has them for."""
        return next((found for term in self.terms if (found := term.part.teaches_values())), "")

    def requirements(self) -> frozenset[str]:
        """Return what any term needs."""
        return frozenset[str]().union(*(term.part.requirements() for term in self.terms))

    def compares_within_groups(self) -> bool:
        """Return whether every term compares within groups."""
        return all(term.part.compares_within_groups() for term in self.terms)

    def labels_read(self) -> frozenset[str]:
        """Return what any term reads."""
        return frozenset[str]().union(*(term.part.labels_read() for term in self.terms))

    def problems_needed(self) -> int:
        """Return what the most demanding term needs."""
        return max(term.part.problems_needed() for term in self.terms)

    def takes_unfinished(self) -> bool:
        """Return whether every term credits responses cut into windows."""
        return all(term.part.takes_unfinished() for term in self.terms)

    def scale_matters(self) -> bool:
        """Return whether the scale of any term matters."""
        return any(term.part.scale_matters() for term in self.terms)

    def figures(self) -> dict[str, float]:
        """Return the figures of every term; of two terms that report the same one, the later's."""
        return {name: figure for term in self.terms for name, figure in term.part.figures().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return the state of every term that has one, by position."""
        return {str(i): term.part.state_dict() for i, term in enumerate(self.terms) if term.part.state_dict()}

    def load_state_dict(self, state: Any) -> None:
        """Restore the terms' state."""
        for i, term in enumerate(self.terms):
            term.part.load_state_dict(state.get(str(i), {}))
