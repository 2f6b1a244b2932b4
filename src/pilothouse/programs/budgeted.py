"""Groups in which the policy says beforehand how long it will be: some subgroups briefly, some at length."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import LISTED
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Sampled
from pilothouse.core.results import Result
from pilothouse.programs.base import Program, Sampling, Steps
from pilothouse.programs.prefixed import forced_episode, forced_request

SENTENCE = "<think> I will answer the question with {budget} tokens"


class BudgetedGroup(Program):
    """Draws G responses, G / k for each of k budgets, each begun with a sentence that announces its budget.

    The budget is announced, not enforced: every response may be as long as the limit. An episode carries its budget as
    the tag "budget=512"; the order in a group is that of the budgets. Equal budgets are one subgroup.

    Args:
        n: group size G, a multiple of the number of budgets.
        budgets: announced lengths, in tokens.
        sentence: what a response begins with; "{budget}" stands for the number.
        announcements: a text for each budget instead of the sentence, such as a token of its own.
        learn_forced: let the announcement carry a loss too, as in the authors' code.
        sampling: how tokens are drawn.

    Source: arXiv 2507.15844, section 3.2; budgets and group size are the paper's.
    """

    name: ClassVar[str] = "budgeted-group"
    announces_budgets: ClassVar[bool] = True
    n: Annotated[int, Field(ge=1)] = 16
    budgets: Annotated[tuple[Annotated[int, Field(ge=1)], ...], LISTED, Field(min_length=1)] = (512, 1024, 2048, 2560)
    sentence: str = SENTENCE
    announcements: Annotated[tuple[str, ...], LISTED] = ()
    learn_forced: bool = False
    sampling: Sampling = Sampling()

    @model_validator(mode="after")
    def _divides(self) -> BudgetedGroup:
        count = len(self.budgets)
        if self.n % count:
            raise ValueError(
                f"a group of {self.n} cannot be shared equally by {count} budgets: "
                f"use --group {count * (self.n // count + 1)}"
            )
        if self.announcements and len(self.announcements) != count:
            raise ValueError(f"{count} budgets need {count} announcements, not {len(self.announcements)}")
        if not self.announcements and "{budget}" not in self.sentence:
            raise ValueError("the sentence must say where the number goes, as {budget}; else all budgets read the same")
        return self

    @property
    def group_size(self) -> int:
        """G."""
        return self.n

    def sized(self, samples: int) -> Self:
        """Return a group of ``samples``.

        Raises:
            ConfigError: the budgets cannot share them equally.
        """
        if samples % len(self.budgets):
            raise ConfigError(f"{len(self.budgets)} budgets cannot share {samples} responses: give a multiple of them")
        return self.model_copy(update={"n": samples})

    def announcement(self, place: int) -> str:
        """Return the text that announces a budget.

        Args:
            place: its place among the budgets.
        """
        if self.announcements:
            return self.announcements[place]
        return self.sentence.replace("{budget}", str(self.budgets[place]))

    def __call__(self, posed: Posed) -> Steps:
        """Yield a request a budget, all at once; the answer is the first response's text.

        Raises:
            ConfigError: an announcement alone fills the response's length limit.
        """
        how, each = self.sampling, self.n // len(self.budgets)
        prefixes = [posed.codec.encode(self.announcement(place)) for place in range(len(self.budgets))]
        replies = yield [forced_request(posed, prefix, each, how) for prefix in prefixes]
        episodes = tuple(
            forced_episode(
                posed,
                prefix,
                sample,
                how.temperature,
                learn_forced=self.learn_forced,
                tags=(f"budget={budget}",),
            )
            for budget, prefix, reply in zip(self.budgets, prefixes, replies, strict=True)
            if isinstance(reply, Sampled)
            for sample in reply.continuations
        )
        return Result(answer=episodes[0].text, episodes=episodes)
