"""What a page was asked for: every parameter bounded, nothing a user may write is an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from starlette.datastructures import QueryParams

MOST_TEXT = 200


class Query:
    """The parameters of a page's address.

    Args:
        given: as they came.
        path: of the page.
    """

    def __init__(self, given: QueryParams, path: str) -> None:
        self._given, self.path = given, path

    def text(self, name: str) -> str:
        """Return a text, without spaces around it; cut when it is very long."""
        return self._given.get(name, "").strip()[:MOST_TEXT]

    def found_in(self, text: str) -> bool:
        """Whether a text holds every word that was searched for, in any case."""
        everything = text.lower()
        return all(word in everything for word in self.text("q").lower().split())

    def choice(self, name: str, known: Iterable[str], default: str = "") -> str:
        """Return one of what is known, or the default."""
        value = self.text(name)
        return value if value in set(known) else default

    def integer(self, name: str, default: int, low: int = 0, high: int = 2**62) -> int:
        """Return a whole number between bounds, or the default where none was given."""
        try:
            return max(low, min(high, int(self.text(name))))
        except ValueError:
            return default

    def number(self, name: str) -> float | None:
        """Return a number, if one was given."""
        try:
            value = float(self.text(name))
        except ValueError:
            return None
        return value if value == value else None

    def many(self, name: str) -> list[str]:
        """Return every value of a parameter."""
        return [value[:MOST_TEXT] for value in self._given.getlist(name)][:100]

    def but(self, **changes: str | int | None) -> str:
        """Return this page's address with some parameters changed; ``None`` and "" leave one out."""
        left = {key: "" if value is None else str(value) for key, value in changes.items()}
        kept = [(key, left.pop(key, "") if key in changes else value) for key, value in self._given.multi_items()]
        return address(self.path, [(key, value) for key, value in [*kept, *left.items()] if value])


def address(path: str, parameters: Iterable[tuple[str, str]] = ()) -> str:
    """Return an address with its parameters, quoted."""
    query = urlencode(list(parameters), errors="replace")
    return f"{path}?{query}" if query else path


def together(runs: Iterable[Any]) -> str:
    """Return the address of the page with the curves of several runs."""
    return address("/overlay", [("run", run.name) for run in runs])


def link(page: str, name: str, **parameters: str | int) -> str:
    """Return the address of a page about something that has a name."""
    return address(f"/{page}/{quote(name, safe='/', errors='replace')}", [(k, str(v)) for k, v in parameters.items()])
