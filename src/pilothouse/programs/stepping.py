"""How a response is cut into steps, and when a path of steps ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from pilothouse.core.parts import Settings
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Sample, StopReason
from pilothouse.programs.base import Sampling
from pilothouse.programs.paths import Path


class Stepping(Settings):
    """Where one step ends and the next begins: at a delimiter, or after so many tokens.

    Args:
        delimiter: text that ends a step and belongs to it; empty takes the task's own, such as a line break.
        tokens: steps of this many tokens instead of a delimiter; 0 goes by the delimiter.
        max_steps: a path that has this many steps ends.

    Raises:
        ConfigError: both a delimiter and a number of tokens are given.
    """

    delimiter: str = ""
    tokens: Annotated[int, Field(ge=0)] = 0
    max_steps: Annotated[int, Field(ge=1)] = 40

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.delimiter and self.tokens:
            raise ValueError(
                f"steps end at a delimiter ({self.delimiter!r}) or after a number of tokens ({self.tokens}), not at "
                "both: drop stepping.delimiter or stepping.tokens"
            )
        return self

    def fitted(self, step_end: str) -> Self:
        """Return these settings with the task's delimiter where nothing is set."""
        return self if self.tokens or self.delimiter else self.model_copy(update={"delimiter": step_end})

    def request(self, posed: Posed, path: Path, how: Sampling, n: int = 1) -> Sample:
        """Return the request for the next step of a path that is alive.

        Args:
            posed: the problem.
            path: what there is so far; shorter than ``how.max_tokens``.
            how: how tokens are drawn; ``max_tokens`` limits the whole response.
            n: how many independent next steps.
        """
        left = how.max_tokens - len(path.tokens) if how.max_tokens else None
        size = self.tokens if left is None or 0 < self.tokens < left else left
        return Sample(
            posed.prompt + path.tokens,
            n=n,
            max_tokens=size or None,
            temperature=how.temperature,
            top_p=how.top_p,
            top_k=how.top_k,
            stop=(self.delimiter, *how.stop) if self.delimiter and not self.tokens else how.stop,
        )

    def grow(self, path: Path, sample: Continuation, how: Sampling, *, label: str = "step", node: int = 0) -> Path:
        """Return the path with a sampled step and, if the response ends with it, the reason.

        Args:
            path: what there was.
            sample: an answer to ``request``.
            how: the settings the request was made with.
            label: what the step is called.
            node: the trace's node of the step.
        """
        return path.grown(sample, self.ending(path, sample, how), label=label, node=node)

    def ending(self, path: Path, sample: Continuation, how: Sampling) -> StopReason | None:
        """Return why the response ends with this step, or ``None`` if it goes on."""
        reason = sample.stop_reason
        whole = len(path.tokens) + len(sample.tokens)
        if reason in (StopReason.EOS, StopReason.ERROR) or not sample.tokens:
            return reason
        if reason is StopReason.STOP and (not self._ends_step(sample) or sample.text.endswith(how.stop)):
            return reason
        if reason is StopReason.LENGTH and not (self.tokens and len(sample.tokens) == self.tokens):
            return reason
        full = (how.max_tokens and whole >= how.max_tokens) or len(path.steps) + 1 >= self.max_steps
        return StopReason.LENGTH if full else None

    def _ends_step(self, sample: Continuation) -> bool:
        return bool(self.delimiter) and not self.tokens and sample.text.endswith(self.delimiter)

    def note(self, paths: Sequence[Path]) -> str:
        """Return a sentence about a delimiter that never occurred though responses were cut off; empty if all is well.

        Args:
            paths: the finished paths.
        """
        if self.tokens or not paths:
            return ""
        whole = [path for path in paths if len(path.steps) == 1 and path.ended is StopReason.LENGTH]
        if len(whole) < len(paths):
            return ""
        return (
            f"the delimiter {self.delimiter!r} never occurred: every response was one step that ran into the length "
            "limit; set --program.stepping.delimiter to what separates steps, or --program.stepping.tokens"
        )
