"""Text as sentences: one splitter for whoever cuts a chain of thought and whoever reads what was cut."""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Annotated, Self

from pydantic import Field

from pilothouse.core.parts import Settings

_ENDS = r"(?<=[.?!])\s+|\n[ \t]*\n\s*"


class Sentences(Settings):
    """Where sentences end: after ".", "?" or "!" and white space, at blank lines, and after a mark of one's own.

    Args:
        shortest: a piece of fewer characters joins the next one, and the last one joins the piece before it; what a
            mark ends stays by itself.
        mark: text that also ends a sentence, however short; empty takes the task's step end, such as a line break.

    Source: the splitter of Thought Branches (arXiv 2510.27484), faithfulness/utils.py of its official code.
    """

    shortest: Annotated[int, Field(ge=1)] = 10
    mark: str = ""

    def fitted(self, step_end: str) -> Self:
        """Return these settings with the task's mark where none is set."""
        return self if self.mark else self.model_copy(update={"mark": step_end})

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return start and end of each sentence; together they cover the text, white space included.

        Args:
            text: any text; one without a visible character has no sentence.
        """
        if not text.strip():
            return []
        marked = (
            {found.end() for found in re.finditer(f"{re.escape(self.mark)}\\s*", text)} if self.mark else set[int]()
        )
        ends = marked | {found.end() for found in re.finditer(_ENDS, text)} | {len(text)}
        cuts = [0]
        for end in sorted(ends):
            size = len(text[cuts[-1] : end].strip())
            if size >= self.shortest or (size and end in marked):
                cuts.append(end)
        rest = text[cuts[-1] :].strip()
        if len(cuts) == 1 or (rest and cuts[-1] in marked):
            cuts.append(len(text))
        cuts[-1] = len(text)
        return list(pairwise(cuts))

    def split(self, text: str) -> tuple[str, ...]:
        """Return the sentences without the white space around them."""
        return tuple(text[start:end].strip() for start, end in self.spans(text))
