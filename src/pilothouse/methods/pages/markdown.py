"""Markdown that reads the same here, on GitHub and in the built site: escaped prose, and blocks that are made."""

from __future__ import annotations

import re

from pilothouse.core.errors import ConfigError

_START = "made by 'pilothouse claims --write docs': change what it is made from, not this"
_END = "end of what is made"


def prose(text: str) -> str:
    """Return plain text with everything escaped that Markdown or HTML would read as its own."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace("~", "&#126;")
    return re.sub(r"([\\*`]|(?<!\w)_|_(?!\w)|(?<=\])\()", r"\\\1", text)


def made(text: str) -> str:
    """Return a whole page with a line on top that says where it comes from."""
    return f"<!-- {_START} -->\n\n{text.strip()}\n"


def replace_block(page: str, block: str, comment: tuple[str, str] = ("<!-- ", " -->")) -> str:
    """Return a hand-written page with its made block replaced; a page without one gets it at the end.

    Args:
        page: the page's text.
        block: what the block is to hold.
        comment: how a comment begins and ends in this kind of file.

    Raises:
        ConfigError: the block begins and does not end, or there are several.
    """
    start, end = (f"{comment[0]}{mark}{comment[1]}" for mark in (_START, _END))
    text = (
        f"{start}\n{block.rstrip()}\n{end}"
        if comment[0].lstrip().startswith("#")
        else f"{start}\n\n{block.strip()}\n\n{end}"
    )
    if start not in page and end not in page:
        return f"{page.rstrip()}\n\n{text}\n"
    if page.count(start) != 1 or page.count(end) != 1 or page.index(end) < page.index(start):
        raise ConfigError(f"a page's made block must stand once between '{start}' and '{end}': restore these two lines")
    return page[: page.index(start)] + text + page[page.index(end) + len(end) :]
