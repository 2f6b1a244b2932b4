"""The catalogues as the terminal shows them: methods, one method, the parts of a room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pilothouse.core.cards import Card
from pilothouse.reports.runs import without_none

if TYPE_CHECKING:
    from rich.console import Console


def print_methods(cards: Sequence[Card], console: Console) -> None:
    """Print one line a method.

    Args:
        cards: the methods' cards.
        console: where to.
    """
    from rich.table import Table

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("method", no_wrap=True)
    for heading in ("what it does", "source", "claim"):
        table.add_column(heading)
    for card in cards:
        table.add_row(f"[bold]{card.name}[/bold]", card.title, f"{card.source}, {card.year}", card.claim)
    console.print(table)
    console.print("\nOne in full: pilothouse methods NAME. Its experiment: pilothouse reproduce NAME.")


def print_method(method: Mapping[str, Any], console: Console) -> None:
    """Print a method's card and every setting with its default.

    Args:
        method: the method's ``to_dict()``.
        console: where to.
    """
    import tomli_w
    from rich.syntax import Syntax

    console.print(f"[bold]{method['name']}[/bold]: {method['title']}")
    console.print(f"{method['paper']} ({method['source']}, {method['year']})\n", highlight=False)
    for key in ("formula", "claim", "when", "settings", "departures"):
        if method[key]:
            console.print(f"[bold]{key}[/bold]  {method[key]}", highlight=False)
    if method["recipe"] is None:
        return
    console.print("\n[bold]every setting[/bold], each an option: steps under \\[training] is --training.steps")
    console.print(Syntax(tomli_w.dumps(without_none(method["recipe"])), "toml", background_color="default"))


def print_parts(title: str, docs: Mapping[str, str], console: Console) -> None:
    """Print the first line of each part's docstring.

    Args:
        title: what the parts are, in the plural.
        docs: docstring by name.
        console: where to.
    """
    from rich.table import Table

    table = Table(title, "", box=None, header_style="bold", padding=(0, 2, 0, 0))
    for name, text in docs.items():
        table.add_row(f"[bold]{name}[/bold]", text.strip().splitlines()[0] if text.strip() else "")
    console.print(table)
