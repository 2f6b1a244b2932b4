"""MkDocs reads an older Markdown than GitHub does: lists and tables that follow a line of text need an empty line."""

from __future__ import annotations

import re
from typing import Any

_BEGINS = re.compile(r"(- |\d+\. |\|)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return a page in which a list or table that begins right below text is set off from it."""
    lines: list[str] = []
    fenced = False
    for line in markdown.splitlines():
        fenced ^= line.startswith("```")
        begins = _BEGINS.match(line)
        before = lines[-1] if lines else ""
        if begins and not fenced and before.strip() and not _BEGINS.match(before) and not before.startswith(" "):
            lines.append("")
        lines.append(line)
    return "\n".join(lines)
