"""Folders in which any value may be anything: every page still comes."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

ODD: tuple[Any, ...] = (None, True, -1, 0, 1e308, 10**30, "", "x" * 300, [], {}, [1, "a", None], {"a": {"b": [1]}})
ODD += ("\u0000<b>", "\ud800", float("inf"), -0.5, "NaN")
PAGES = ("/", "/?sort=-result", "/?sort=tokens", "/run/grpo-sums", "/live/grpo-sums", "/rollouts/grpo-sums")
PAGES += ("/rollouts/grpo-sums?step=1&verdict=right", "/overlay?run=grpo-sums", "/searches", "/search/search%20one")
PAGES += ("/comparisons", "/comparison/compare-grpo-rloo", "/claims", "/methods", "/method/riskpo")
PAGES += ("/evidence/reproduce-riskpo-small/riskpo-small.json",)


def mutated(value: Any, draw: random.Random) -> Any:
    """The value with some of what is in it replaced or left out."""
    if draw.random() < 0.12:
        return draw.choice(ODD)
    if isinstance(value, dict):
        return {key: mutated(inner, draw) for key, inner in value.items() if draw.random() > 0.04}
    return [mutated(inner, draw) for inner in value] if isinstance(value, list) else value


def rows_of(path: Path, page: str) -> list[str]:
    """The page of every row of a file."""
    pages, at = [], 0
    for line in path.read_bytes().splitlines(keepends=True)[:6]:
        pages.append(f"{page}?at={at}")
        at += len(line)
    return pages


@pytest.mark.parametrize("seed", range(6))
def test_every_page_comes_whatever_a_folder_holds(runs, kit, seed):
    draw = random.Random(seed)
    for path in sorted(runs.rglob("*.json*")):
        rows = [json.dumps(mutated(json.loads(line), draw)) for line in path.read_text().splitlines()]
        path.write_text("\n".join(rows) + "\n")
    pages = [*PAGES, *rows_of(runs / "grpo-sums" / "rollouts.jsonl", "/rollout/grpo-sums")]
    pages += rows_of(runs / "search one" / "traces.jsonl", "/trace/search%20one")
    browser = kit.browser(runs)
    for page in pages:  # what a page raises is raised here
        assert browser.get(page).status_code in (200, 404), page
