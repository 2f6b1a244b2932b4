"""Comparisons: figures worked by hand, pairs, budgets, and a page that stands by itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from pilothouse.core.errors import RunError
from pilothouse.reports.comparison import Comparison, compare_outcomes, header_of, rows_of
from pilothouse.reports.comparison_figures import _curve, draw_comparison
from pilothouse.reports.comparison_page import write_page
from pilothouse.reports.files import dumps
from pilothouse.reports.outcomes import Measured, Metric, Outcome
from pilothouse.reports.run_statistics import performance_profile, stratified_difference
from pilothouse.reports.statistics import Interval

RNG = np.random.default_rng
ACCURACY, LENGTH, STEPS = Metric("accuracy", share=True), Metric("length"), Metric("optimiser steps")


def outcome(
    method: str, task: str, seed: int, value: float, sample: str = "4", metric: Metric = ACCURACY, begins: float = 0.0
) -> Outcome:
    measured = Measured(
        figures={metric: value, LENGTH: 3.0 + seed},
        costs={STEPS: 12_000.0, Metric("seconds"): 5.0},
        curve=[(begins, 0.1), (1000.0, value)],
        note="Held-out answers.",
        samples=[sample],
    )
    config = {"method": method, "versions": {"torch": "2"}}
    return Outcome(method, task, seed, Path(f"runs/{method} <b>"), config, measured)


def outcomes(sample: str = "4", second: str = "b") -> list[Outcome]:
    """Two tasks and three seeds; the second is above a by 0.1, 0.2 and 0.3."""
    made: list[Outcome] = []
    for seed in range(3):
        for task, level in (("sums", 0.2), ("sorting", 0.5)):
            made.append(outcome("a", task, seed, level, sample))
            made.append(outcome(second, task, seed, level + 0.1 * (seed + 1), sample))
    return made


def test_standings_by_hand() -> None:
    found = compare_outcomes(outcomes(), "1,000 tokens", RNG(0))
    first, second = found.standings
    assert (found.tasks, found.seeds) == (("sums", "sorting"), (0, 1, 2))
    assert first.score.estimate == pytest.approx(0.35)  # of 0.2 x 3 and 0.5 x 3 without the ends: 2 and 2
    assert second.difference.estimate == pytest.approx(0.2)
    assert second.bootstrap.estimate == pytest.approx(0.2)
    # three seeds that differ by 0.1, 0.2, 0.3: 4.303 x 0.1 / sqrt 3
    assert second.difference.high - second.difference.estimate == pytest.approx(0.2484, abs=1e-4)
    assert second.improves.estimate == 1.0
    assert first.improves.estimate == 0.5
    assert second.figures["length"].estimate == pytest.approx(4.0)  # of 3, 4, 5
    assert second.costs["optimiser steps"].estimate == pytest.approx(12_000)
    assert found.by_task["sums"]["b"].estimate == pytest.approx(0.4)
    assert [row[:4:2] for row in rows_of(found)] == [["a", "-"], ["b", "+20.0 [-4.8, +44.8]"]]
    assert rows_of(found)[1][3:] == ["100 %", "4", "12,000", "5"]
    assert header_of(found)[1:3] == ["accuracy (IQM)", "against the first (points)"]
    written = json.loads(dumps({**found.to_dict(), "of a later version": 1}))
    assert written["metric"] == {"name": "accuracy", "share": True}
    assert Comparison.from_dict(written) == found
    with pytest.raises(KeyError, match="metric"):
        Comparison.from_dict({})


def test_returns_are_in_their_own_units() -> None:
    earned = Metric("return")
    made = [outcome(m, "drift", s, v + s, metric=earned) for m, v in (("a", -1500.0), ("b", -20.0)) for s in range(2)]
    found = compare_outcomes(made, "", RNG(0))
    assert rows_of(found)[0][1].startswith("-1,500 [")  # of -1500 and -1499
    assert rows_of(found)[1][2] == "+1,480 [+1,480, +1,480]"
    assert header_of(found)[2] == "against the first"
    assert earned.interval(Interval(-0.5, -math.inf, 0.25, 0.95, 1), sign=True) == "-0.5 [?, +0.25]"


def test_one_seed_tells_nothing_of_the_spread() -> None:
    found = compare_outcomes([outcome("a", "sums", 0, 0.5), outcome("b", "sums", 0, 0.75)], "", RNG(0))
    row = found.standings[1]
    for interval in (row.score, row.bootstrap, row.improves, row.difference):
        assert (interval.low, interval.high) == (-math.inf, math.inf)
    assert rows_of(found)[1][1:3] == ["75.0 % [?, ?]", "+25.0 [?, ?]"]
    assert Comparison.from_dict(json.loads(dumps(found.to_dict()))) == found
    assert performance_profile(np.array([[0.5]]), [0.4], RNG(0))[0].high == math.inf


def test_an_order_of_seeds_that_breaks_pairs_is_not_assumed() -> None:
    shuffled = sorted(outcomes(), key=lambda one: (one.method, one.task, -one.seed))
    found = compare_outcomes(shuffled, "", RNG(0))
    assert found.standings[1].difference.estimate == pytest.approx(0.2)


def test_what_was_not_measured_is_told() -> None:
    with pytest.raises(RunError, match=r"the run in runs/a <b> measured no accuracy: 'pilothouse show"):
        compare_outcomes([outcome("a", "sums", 0, math.nan), outcome("b", "sums", 0, 0.75)], "", RNG(0))
    mixed = [outcome("a", "reach", 0, 0.5), outcome("a", "drift", 0, 3.0, metric=Metric("return"))]
    with pytest.raises(RunError, match="reach measures accuracy and drift return"):
        compare_outcomes(mixed, "", RNG(0))


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


def test_a_curve_begins_where_it_was_first_measured(tmp_path: Path) -> None:
    made = [outcome("a", "drift", 0, 0.5), outcome("b", "drift", 0, 0.7, begins=400.0)]
    drawn = draw_comparison(compare_outcomes(made, "", RNG(0)), made, tmp_path, RNG(0))
    assert drawn["cost-1"].stat().st_size > 1000
    late = _curve(made[1:], np.array([200.0, 700.0, 1000.0]))
    assert [one.estimate for one in late] == pytest.approx([math.nan, 0.4, 0.7], nan_ok=True)  # 0.1 at 400, 0.7 at 1000
    assert late[2].high == math.inf, "one seed"
    wide = _curve([outcome("a", "drift", seed, value) for seed, value in enumerate((0.1, 0.9))], np.array([1000.0]))
    assert (wide[0].low, wide[0].high) == (0.0, 1.0)


def test_the_page_stands_alone_and_escapes(tmp_path: Path) -> None:
    made = outcomes("<script>alert(1)</script>", second='b:x=<i>$ 1$ & "2"')
    found = compare_outcomes(made, "1,000 tokens", RNG(0))
    folder = tmp_path / "a <b> folder"
    figures = draw_comparison(found, made, folder, RNG(0))
    write_page(found, made, figures, "pilothouse compare a b --task 'x<y'", folder / "report.html")
    page = (folder / "report.html").read_text()
    assert set(figures) == {"standings", "cost-1", "cost-2", "profiles"}
    assert page.count("<svg") == 4
    assert "<script" not in page
    assert "<i>" not in page
    assert "<b>" not in page
    assert "b:x=&lt;i&gt;$ 1$ &amp; " in page
    assert "&lt;script&gt;alert(1)" in page
    assert "x&lt;y" in page
    for known in ("http://www.w3.org/", "http://purl.org/", "http://creativecommons", "https://matplotlib.org/"):
        page = page.replace(known, "")  # names in the drawings' headers; nothing fetches them
    assert "http" not in page
    assert 'torch = "2"' in page.replace("&quot;", '"')
