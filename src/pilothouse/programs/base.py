"""The program protocol: one way to use language policies on one problem."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, Any, ClassVar, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field

from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import Catalogue, Part, Settings
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Request
from pilothouse.core.results import Result

Steps: TypeAlias = Generator[list[Request], list[Reply], Result]

#: When a piece of an answer is final: when it is drawn, once the program goes on from it, or at the end.
Settles: TypeAlias = Literal["token", "step", "end"]


class Sampling(Settings):
    """How tokens are drawn.

    Args:
        temperature: softmax temperature; 0 is greedy.
        top_p: nucleus mass kept.
        top_k: most likely tokens kept; 0 keeps all.
        max_tokens: response length limit in tokens; 0 leaves it to the task's own limit.
        stop: strings that end a response.
    """

    temperature: Annotated[float, Field(ge=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0)] = 0
    max_tokens: Annotated[int, Field(ge=0)] = 0
    stop: Annotated[tuple[str, ...], BeforeValidator(lambda text: (text,) if isinstance(text, str) else text)] = ()


class Program(Part):
    """A plain generator over one problem: yields lists of requests, is resumed with their replies, returns a Result.

    Programs do no I/O, know no engine, and draw randomness only from ``posed.rng``. Most have a field ``sampling``
    (how tokens are drawn), those that work step by step also ``stepping`` (where a step ends).

    Class attributes:
        scores: True when it asks a scorer (``Value`` requests to "value") what a response is worth.
        labels: what the labels of its segments tell a credit, of {"tree"}: the node of a tree of responses.
        values_steps: True when its segments say what the state after each of them was found to be worth.
        one_outcome: True when all episodes of a problem lead to one answer and so have one reward: nothing tells them
            apart, however many they are.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("program", "pilothouse.programs")
    scores: ClassVar[bool] = False
    labels: ClassVar[frozenset[str]] = frozenset()
    values_steps: ClassVar[bool] = False
    one_outcome: ClassVar[bool] = False
    announces_budgets: ClassVar[bool] = False  #: whether its episodes carry the budget they were told, as a tag

    @property
    def group_size(self) -> int:
        """Episodes one problem yields, when the program can say beforehand; 0 when it varies."""
        return 0

    def needs_scorer(self) -> bool:
        """Return whether it asks a scorer under these settings."""
        return self.scores

    def settles(self) -> Settles:
        """Return when a piece of its answer is final, so that it can be sent to the user while the rest is made.

        "token": it makes one ``Sample`` request, whose continuations are the choices. "step": what the prefixes of all
        samples of one list share is never taken back, as in a beam of width 1. "end": only the answer is final.
        """
        return "end"

    def fitted(self, *, limit: int, stop: tuple[str, ...], step_end: str) -> Self:
        """Return the program with the task's conventions where it sets none of its own.

        Args:
            limit: length limit of a response, in tokens.
            stop: strings that end a response.
            step_end: what separates the steps of a response.
        """
        update: dict[str, Any] = {}
        sampling: Any = getattr(self, "sampling", None)
        if isinstance(sampling, Sampling):
            update["sampling"] = sampling.model_copy(
                update={"max_tokens": sampling.max_tokens or limit, "stop": sampling.stop or stop}
            )
        stepping: Any = getattr(self, "stepping", None)
        if stepping is not None:
            update["stepping"] = stepping.fitted(step_end)
        return self.model_copy(update=update) if update else self

    def sized(self, samples: int) -> Self:
        """Return the program at the width that spends about ``samples`` whole responses on a problem.

        Args:
            samples: the budget, in whole responses, at least 1.

        Raises:
            ConfigError: it cannot spend just that; the message names the nearest budgets that work.
        """
        raise ConfigError(f"program '{self.name}' has no budget to set: leave --budget out")

    def __call__(self, posed: Posed) -> Steps:
        """Start the program on one problem."""
        raise NotImplementedError
