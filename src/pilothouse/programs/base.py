"""The program protocol: one way to use language policies on one problem."""

from __future__ import annotations

from collections.abc import Generator
from typing import Annotated, ClassVar, TypeAlias

from pydantic import BeforeValidator, Field

from pilothouse.core.parts import Catalogue, Part, Settings
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Reply, Request
from pilothouse.core.results import Result

Steps: TypeAlias = Generator[list[Request], list[Reply], Result]


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

    Programs do no I/O, know no engine, and draw randomness only from ``posed.rng``.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("program", "pilothouse.programs")
    announces_budgets: ClassVar[bool] = False  #: whether its episodes carry the budget they were told, as a tag

    @property
    def group_size(self) -> int:
        """Episodes one problem yields, when the program can say beforehand; 0 when it varies."""
        return 0

    def __call__(self, posed: Posed) -> Steps:
        """Start the program on one problem."""
        raise NotImplementedError
