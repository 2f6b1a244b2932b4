"""Pictures of a search: the tree of its steps as SVG, and its chosen path in a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from pilothouse.reports.figures import BLUE, GREEN, PURPLE, SKY
from pilothouse.reports.files import write_text

_GREY = "#9CA3AF"
_COLOURS = {"chosen": BLUE, "finished": GREEN, "pruned": _GREY, "open": SKY}
_ROW, _COLUMN, _LEFT, _TOP = 18, 150, 90, 56
_MOST = 400  #: nodes drawn; more could not be told apart
_FACTS = ("score", "q", "weight", "visits", "answer")

Node = Mapping[str, Any]


def tree_figure(trace: Mapping[str, Any], path: Path, *, prompt: str = "", answer: str = "") -> Path:
    """Draw the tree of a search: a step a node, from the prompt on the left to whole responses on the right.

    Blue is the way to the answer, green other finished responses, grey what the search gave up, light blue what was
    still open. Hovering over a node shows its text and what was found about it. Only the first 400 nodes are drawn.

    Args:
        trace: a program's trace.
        path: the SVG to write.
        prompt: the problem, for the title.
        answer: the answer, for the title.

    Returns:
        ``path``.

    Raises:
        RunError: the file cannot be written.
    """
    write_text(path, tree_svg(trace, prompt=prompt, answer=answer))
    return path


def tree_svg(trace: Mapping[str, Any], *, prompt: str = "", answer: str = "") -> str:
    """Return the picture that ``tree_figure`` writes."""
    nodes: Sequence[Node] = trace["nodes"][:_MOST]
    places = _layout(nodes)
    width = max(_LEFT + _COLUMN * (max(x for x, _ in places) + 1) + 40, 640)
    height = _TOP + _ROW * (max(y for _, y in places) + 1) + 34
    spots = [(_LEFT + _COLUMN * x, _TOP + _ROW * y) for x, y in places]
    hidden = len(trace["nodes"]) - len(nodes)
    title = f"{trace.get('kind', 'search')}: {_short(prompt, 60)} → {_short(answer, 60)}"
    shown = f"{len(trace['nodes']) - 1} steps" + (f", {hidden} not drawn" if hidden else "")
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height:.0f}" '
        f'viewBox="0 0 {width} {height:.0f}" font-family="DejaVu Sans, sans-serif" font-size="10" role="img" '
        f'aria-label="{escape(title)}">',
        f'<rect width="{width}" height="{height:.0f}" fill="white"/>',
        f'<text x="14" y="20" font-size="13" fill="#222222">{escape(title)}</text>',
        f'<text x="14" y="36" fill="#6B7280">{shown}</text>',
    ]
    for node, (x, y) in zip(nodes, spots, strict=True):
        if node["parent"] is not None:
            px, py = spots[node["parent"]]
            middle = (px + x) / 2
            strong = node["state"] == "chosen"
            parts.append(
                f'<path d="M{px:.0f} {py:.1f} C{middle:.0f} {py:.1f} {middle:.0f} {y:.1f} {x:.0f} {y:.1f}" fill="none" '
                f'stroke="{BLUE if strong else "#D1D5DB"}" stroke-width="{2 if strong else 1}"/>'
            )
    inner = {node["parent"] for node in nodes}
    parts += [_dot(node, x, y, node["id"] in inner) for node, (x, y) in zip(nodes, spots, strict=True)]
    return "\n".join([*parts, "</svg>\n"])


def _dot(node: Node, x: float, y: float, inner: bool) -> str:
    """Return a node: its text stands over it, or to the right of it where nothing follows."""
    colour = _COLOURS.get(str(node["state"]), PURPLE)
    copies = float(node.get("copies") or node.get("visits") or 1)
    radius = min(3 + copies**0.5, 9)
    text = "prompt" if node["parent"] is None else _short(str(node["text"]), 22)
    facts = "; ".join(f"{name} {_figure(node[name])}" for name in _FACTS if node.get(name) is not None)
    tip = escape("\n".join(line for line in (str(node["text"]), facts, str(node["state"])) if line))
    weight = ' font-weight="bold"' if node["state"] == "chosen" else ""
    place = (
        f'x="{x:.0f}" y="{y - radius - 2:.1f}" text-anchor="middle"'
        if inner
        else f'x="{x + radius + 4:.0f}" y="{y + 3.5:.1f}"'
    )
    return (
        f'<g><title>{tip}</title><circle cx="{x:.0f}" cy="{y:.1f}" r="{radius:.1f}" fill="{colour}"/>'
        f'<text {place} fill="#222222" stroke="white" stroke-width="3" paint-order="stroke"{weight}>'
        f"{escape(text)}</text></g>"
    )


def _layout(nodes: Sequence[Node]) -> list[tuple[int, float]]:
    """Return depth and row of each node: leaves in rows of their own, a parent in the middle of its children."""
    children: dict[int, list[int]] = {}
    depth = [0] * len(nodes)
    for node in nodes[1:]:
        children.setdefault(node["parent"], []).append(node["id"])
        depth[node["id"]] = depth[node["parent"]] + 1
    rows, free = [0.0] * len(nodes), 0
    waiting = [(0, False)]
    while waiting:
        at, ready = waiting.pop()
        below = children.get(at, [])
        if not below:
            rows[at], free = float(free), free + 1
        elif ready:
            rows[at] = (rows[below[0]] + rows[below[-1]]) / 2
        else:
            waiting += [(at, True), *((child, False) for child in reversed(below))]
    return list(zip(depth, rows, strict=True))


def chosen_path(trace: Mapping[str, Any]) -> list[str]:
    """Return the steps to the answer, a line each, with what is known of them and how many were tried beside them."""
    nodes: Sequence[Node] = trace["nodes"]
    beside: dict[int, int] = {}
    for node in nodes[1:]:
        beside[node["parent"]] = beside.get(node["parent"], 0) + 1
    lines: list[str] = []
    for node in nodes[1:]:
        if node["state"] == "chosen":
            facts = [f"{name} {_figure(node[name])}" for name in _FACTS if node.get(name) is not None]
            others = beside[node["parent"]] - 1
            facts += [f"{others} beside it"] if others else []
            lines.append(f"{_short(str(node['text']), 60)}" + (f"   ({', '.join(facts)})" if facts else ""))
    return lines


def _short(text: str, limit: int) -> str:
    line = text.strip().replace("\n", "⏎")
    return line if len(line) <= limit else line[: limit - 1] + "…"


def _figure(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
