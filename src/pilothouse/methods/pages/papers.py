"""``docs/papers.md``: each method's paper, equation, files, where its settings come from and where it departs."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.pages.files import house_files
from pilothouse.methods.pages.markdown import made, prose
from pilothouse.reports.tables import markdown_table

_TOP = """\
# Papers

Where each method comes from: the publication, its formula as it is implemented, the files that hold it, where the
defaults come from, and every departure that is known. It is made from the methods' cards, which
`pilothouse methods NAME` prints. Files are under `src/pilothouse/`: the method itself first, then its experiment, then
what it is composed of."""


def papers_page(methods: Mapping[str, Method]) -> str:
    """Return the page.

    Args:
        methods: all there are, by name.
    """
    rows = [
        [f"[{name}](#{name})", prose(m.card.paper), source_link(m.card), m.card.year] for name, m in methods.items()
    ]
    parts = [_TOP, markdown_table(["method", "paper", "source", "year"], rows, padded=False)]
    return made("\n\n".join(parts + [_section(method) for method in methods.values()]))


def source_link(card: Card) -> str:
    """Return a paper's source, as a link where it is an arXiv number."""
    number = re.fullmatch(r"arXiv (\d{4}\.\d{4,5})", card.source)
    return f"[{card.source}](https://arxiv.org/abs/{number[1]})" if number else prose(card.source)


def _section(method: Method) -> str:
    card = method.card
    formula = "\n".join(f"    {piece.strip()}" for piece in card.formula.split(";"))
    return "\n\n".join(
        [
            f"## {card.name}",
            f"{prose(card.title[0].upper() + card.title[1:])}. *{prose(card.paper)}*, {source_link(card)}, "
            f"{card.year}. [Its page](methods/{card.name}.md).",
            formula,
            f"- **Settings:** {prose(card.settings)}.\n- **Departures:** {prose(card.departures)}.\n"
            f"- **Files:** {', '.join(f'`{path}`' for path in house_files(method))}",
        ]
    )
