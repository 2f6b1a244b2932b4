"""A particle filter's ancestry as SVG: who descends from whom, and which first steps survive to the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from pilothouse.reports.figures import BLUE

_COLUMN, _ROW, _LEFT, _TOP = 72, 15, 46, 44
_MOST = 64  #: particles and rounds drawn


def ancestry_svg(rounds: Sequence[Mapping[str, Any]]) -> str:
    """Return the picture: a column a round, a dot a particle, a line to each particle's ancestor.

    Blue are the particles of the last round and those they descend from; grey is what resampling left without
    descendants. A dot's area is its weight. Only 64 rounds of 64 particles are drawn.

    Args:
        rounds: a trace's rounds, with "theta" (weights [K] that add up to 1) and "ancestors" ([K] indices into the
            round before); rounds without them, as other searches record, are left out.

    Returns:
        The SVG; empty when no round has an ancestry.
    """
    kept = [one for one in rounds if isinstance(one.get("theta"), list) and isinstance(one.get("ancestors"), list)]
    kept = kept[:_MOST]
    if not kept:
        return ""
    size = min(_MOST, max(len(one["theta"]) for one in kept))
    alive = _lineage(kept, size)
    width, height = _LEFT + _COLUMN * len(kept) + 16, _TOP + _ROW * size + 14
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        'font-family="DejaVu Sans, sans-serif" font-size="10" role="img" aria-label="ancestry of the particles">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for column, one in enumerate(kept):
        x = _LEFT + _COLUMN * column
        parts.append(f'<text x="{x}" y="16" text-anchor="middle" fill="#222222">{column + 1}</text>')
        ess = one.get("ess")
        if isinstance(ess, int | float):
            parts.append(f'<text x="{x}" y="29" text-anchor="middle" fill="#6B7280">ess {ess:.1f}</text>')
        if column + 1 < len(kept):
            parts += _lines(one["ancestors"][:size], alive[column + 1], x)
        parts += _dots(one["theta"][:size], alive[column], x, one.get("resampled") is True)
    return "\n".join([*parts, "</svg>"])


def _lineage(rounds: Sequence[Mapping[str, Any]], size: int) -> list[set[int]]:
    """Particles of each round that the last round descends from."""
    alive = [set(range(len(rounds[-1]["theta"][:size])))]
    for one in reversed(rounds[:-1]):
        parents = one["ancestors"]
        now = {parents[i] for i in alive[0] if i < len(parents) and isinstance(parents[i], int)}
        alive.insert(0, {i for i in now if 0 <= i < size})
    return alive


def _lines(ancestors: Sequence[Any], alive: set[int], x: float) -> list[str]:
    """Lines from a round's particles to those of the next that continue them; the living on top."""
    lines: list[tuple[bool, str]] = []
    for child, parent in enumerate(ancestors):
        if not isinstance(parent, int) or not 0 <= parent < _MOST:
            continue
        y0, y1, lives = _TOP + _ROW * parent, _TOP + _ROW * child, child in alive
        lines.append(
            (
                lives,
                f'<path d="M{x} {y0} C{x + 30} {y0} {x + _COLUMN - 30} {y1} {x + _COLUMN} {y1}" fill="none" '
                f'stroke="{BLUE if lives else "#D1D5DB"}" stroke-width="{1.4 if lives else 0.8}"/>',
            )
        )
    return [line for _, line in sorted(lines, key=lambda pair: pair[0])]


def _dots(weights: Sequence[Any], alive: set[int], x: float, resampled: bool) -> list[str]:
    known = [w if isinstance(w, int | float) and w == w else 0.0 for w in weights]
    top = max(known, default=0.0) or 1.0
    dots: list[str] = []
    for place, weight in enumerate(known):
        tip = escape(f"particle {place + 1}, weight {weight:.3g}" + (", resampled" if resampled else ""))
        radius = 2.0 + 3.5 * max(0.0, weight / top) ** 0.5
        colour = BLUE if place in alive else "#9CA3AF"
        dots.append(
            f'<g><title>{tip}</title><circle cx="{x}" cy="{_TOP + _ROW * place}" r="{radius:.1f}" fill="{colour}"/></g>'
        )
    return dots
