"""Comparisons: figures worked by hand, pairs, budgets, and a page that stands by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pilothouse.reports.comparison import compare_outcomes, draw_comparison, rows_of
from pilothouse.reports.comparison_page import write_page
from pilothouse.reports.run_statistics import performance_profile, stratified_difference

RNG = np.random.default_rng


def outcome(method: str, task: str, seed: int, accuracy: float, response: str = "4") -> dict[str, Any]:
    figures = {"accuracy": accuracy, "solved": 0.5, "length": 3.0, "entropy": 0.2}
    result = {
        "before": {"sampled": {"accuracy": 0.1}},
        "after": {"sampled": figures, "greedy": figures},
        "cost": {"tokens_computed": 1000.0, "seconds": 5.0},
        "steps": 7,
    }
    return {
        "method": method,
        "task": task,
        "seed": seed,
        "folder": f"runs/{method}",
        "result": result,
        "curve": [(0.0, 0.1), (1000.0, accuracy)],
        "config": {"method": method, "versions": {"torch": "2"}},
        "responses": [{"prompt": "2+2=", "response": response, "reward": 1.0}],
    }


def outcomes(response: str = "4") -> list[dict[str, Any]]:
    """Two tasks and three seeds; b is above a by 0.1, 0.2 and 0.3."""
    made: list[dict[str, Any]] = []
    for seed in range(3):
        for task, level in (("sums", 0.2), ("sorting", 0.5)):
            made.append(outcome("a", task, seed, level, response))
            made.append(outcome("b", task, seed, level + 0.1 * (seed + 1), response))
    return made


def test_standings_by_hand() -> None:
    found = compare_outcomes(outcomes(), "1,000 tokens", RNG(0))
    first, second = found.standings
    assert (found.tasks, found.seeds) == (("sums", "sorting"), (0, 1, 2))
    assert first.accuracy.estimate == pytest.approx(0.35)  # of 0.2 x 3 and 0.5 x 3 without the ends: 2 and 2
    assert second.difference.estimate == pytest.approx(0.2)
    assert second.bootstrap.estimate == pytest.approx(0.2)
    # three seeds that differ by 0.1, 0.2, 0.3: 4.303 x 0.1 / sqrt 3
    assert second.difference.high - second.difference.estimate == pytest.approx(0.2484, abs=1e-4)
    assert second.improves.estimate == 1.0
    assert first.improves.estimate == 0.5
    assert found.by_task["sums"]["b"].estimate == pytest.approx(0.4)
    assert [row[:4:2] for row in rows_of(found)] == [["a", "-"], ["b", "+20.0 [-4.8, +44.8]"]]


def test_an_order_of_seeds_that_breaks_pairs_is_not_assumed() -> None:
    shuffled = sorted(outcomes(), key=lambda one: (one["method"], one["task"], -one["seed"]))
    found = compare_outcomes(shuffled, "", RNG(0))
    assert found.standings[1].difference.estimate == pytest.approx(0.2)


def test_stratified_difference_and_profile() -> None:
    a, b = np.array([[0.5, 0.9], [0.7, 0.7]]), np.array([[0.4, 0.4], [0.4, 0.4]])
    gap = stratified_difference(a, b, RNG(1))
    assert gap.estimate == pytest.approx(0.3)
    assert gap.low >= 0.1 + 0.0999  # the worst resample takes 0.1 twice and 0.3 twice
    assert gap.high <= 0.4 + 1e-9
    with pytest.raises(ValueError, match="pairs need the same seeds"):
        stratified_difference(a, b[:1], RNG(1))
    shares = performance_profile(a, [0.0, 0.6, 0.7, 0.9], RNG(2))
    assert [share.estimate for share in shares] == [1.0, 0.75, 0.25, 0.0]
    assert all(share.low <= share.estimate <= share.high for share in shares)


def test_the_page_stands_alone_and_escapes(tmp_path: Path) -> None:
    made = outcomes("<script>alert(1)</script>")
    found = compare_outcomes(made, "1,000 tokens", RNG(0))
    figures = draw_comparison(found, made, tmp_path, RNG(0))
    write_page(found, made, figures, "pilothouse compare a b --task 'x<y'", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert set(figures) == {"standings", "cost-sums", "cost-sorting", "profiles"}
    assert page.count("<svg") == 4
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "x&lt;y" in page
    for known in ("http://www.w3.org/", "http://purl.org/", "http://creativecommons", "https://matplotlib.org/"):
        page = page.replace(known, "")  # names in the drawings' headers; nothing fetches them
    assert "http" not in page
    assert 'torch = "2"' in page.replace("&quot;", '"')
