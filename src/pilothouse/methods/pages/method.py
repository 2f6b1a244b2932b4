"""The made blocks of hand-written pages: the reference of a method's page, and the list of methods."""

from __future__ import annotations

from collections.abc import Mapping

from pilothouse.core.cards import Evidence
from pilothouse.methods.base import Method
from pilothouse.methods.pages.claims import verdict_line
from pilothouse.methods.pages.files import house_files
from pilothouse.methods.pages.markdown import prose
from pilothouse.methods.pages.papers import source_link
from pilothouse.methods.pages.settings import own_settings
from pilothouse.methods.pages.shared import settings_table
from pilothouse.reports.claims import Row
from pilothouse.reports.tables import markdown_table


def reference(method: Method, evidence: Evidence | None) -> str:
    """Return the block that ends a method's page: paper, verdict, files, and every setting of its own.

    Args:
        method: whose page it is.
        evidence: what was measured, if anything was.
    """
    card = method.card
    where = f"[Claims](../claims.md#{card.name})" if evidence else "[Claims](../claims.md)"
    if evidence:
        where += f", [every figure]({evidence.method}-{evidence.scale}.json)"
    parts = [
        "## Reference",
        f"- **Paper:** *{prose(card.paper)}*, {source_link(card)}, {card.year}; formula, sources of the settings and "
        f"departures are in [Papers](../papers.md#{card.name}).\n"
        f"- **Claim:** {verdict_line(evidence)} ({where}).\n"
        f"- **Files:** {', '.join(f'`{path}`' for path in house_files(method))}",
    ]
    settings = own_settings(method)
    if not settings:
        return "\n\n".join([*parts, "It trains nothing and has no settings of a run; what it can be told is above."])
    parts.append(settings_table(settings))
    if any(": " in one.name for one in settings):
        parts.append(
            "A setting written as `part: name` belongs to one of several parts that are added up or follow one "
            "another; it is set in a TOML file or from Python."
        )
    if method.recipe is not None:
        parts.append("What is not listed is at its default: [Settings](../settings.md).")
    return "\n\n".join(parts)


def catalogue(methods: Mapping[str, Method], evidence: Mapping[str, Evidence]) -> str:
    """Return the list of methods: what each does and how its claim fared, then when to use which.

    Args:
        methods: all there are, by name.
        evidence: of those that were measured, by name.
    """
    rows = [Row(name, evidence.get(name)) for name in methods]
    told = [[_link(row.method), prose(methods[row.method].card.title), row.verdict, row.bars] for row in rows]
    when = [[_link(name), prose(method.card.when)] for name, method in methods.items()]
    return "\n\n".join(
        [
            "## All of them",
            markdown_table(["method", "what it does", "verdict", "bars reached"], told, padded=False),
            "## When to use which",
            "By situation, with figures: [Which method?](../which-method.md)",
            markdown_table(["method", "when, and when not"], when, padded=False),
        ]
    )


def navigation(methods: Mapping[str, Method]) -> str:
    """Return the methods' entries of ``mkdocs.yml``."""
    return "\n".join(f"      - {name}: methods/{name}.md" for name in methods)


def _link(name: str) -> str:
    return f"[{name}]({name}.md)"
