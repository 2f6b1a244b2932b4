"""Every claim under one budget, with methods that cost nothing: order, what is kept, fails, or is left."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilothouse.core.budgets import TimeBudget
from pilothouse.core.cards import Card, Claim, Evidence
from pilothouse.core.errors import ConfigError, RunError
from pilothouse.methods import all_claims
from pilothouse.methods.all_claims import AllClaims, Outcome, order
from pilothouse.methods.apart import OutOfTime
from pilothouse.methods.base import Method
from pilothouse.methods.measuring import claim_folder, measure
from pilothouse.reports.evidence import write_evidence
from pilothouse.reports.files import write_json
from pilothouse.reports.progress import Progress

CLAIM = Claim("holds", "above 0", 1.0, 0.5, 1.5, 0.95, True, "points", 3)


def fake(name: str, claim: Claim = CLAIM) -> Method:
    """A method whose experiment is over at once."""

    def reproduce(scale: str, out: Path, progress: Progress) -> Evidence:
        return Evidence.of(name, scale, (claim,), {}, "", 2.0)

    return Method(Card(name, "t", "p", "s", 2025, "credit", "f", "s", "d", "c"), reproduce)


FAKES = {name: fake(name) for name in ("dear", "cheap", "unknown", "broken")}


class Bench:
    """Runs experiments in this process; remembers which, fails or interrupts where told, and moves a clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.ran: list[str] = []
        self.limits: list[float | None] = []
        self.interrupt, self.late = "", ""
        self.now, self.out = 0.0, tmp_path / "runs"
        monkeypatch.setattr(all_claims.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(all_claims, "checkout_evidence", lambda: tmp_path / "stored")
        for name, seconds in {"dear": 500.0, "cheap": 20.0, "broken": 40.0}.items():
            evidence = FAKES[name].reproduce("small", tmp_path, Progress())
            write_evidence(replace(evidence, seconds=seconds), tmp_path / "stored")

    def apart(self, name: str, scale: str, folder: Path, progress: Progress, limit: float | None) -> None:
        self.ran.append(name)
        self.limits.append(limit)
        self.now += 100.0
        if name == self.interrupt:
            raise KeyboardInterrupt
        if name == self.late:
            raise OutOfTime("the budget ended in the middle of it")
        if name == "broken":
            raise RunError("it broke")
        measure(FAKES[name], scale, folder, progress)

    def run(self, budget: str = "", *, scale: str = "small", fresh: bool = False) -> dict[str, Outcome]:
        found: list[Outcome] = []
        limit = TimeBudget.parse(budget) if budget else None
        with suppress(KeyboardInterrupt):
            AllClaims(FAKES, scale, self.out, limit, self.apart).run(Progress(), found, fresh=fresh)
        return {outcome.method: outcome for outcome in found}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bench:
    return Bench(monkeypatch, tmp_path)


def states(found: dict[str, Outcome]) -> dict[str, str]:
    return {name: outcome.state for name, outcome in found.items()}


def test_the_cheapest_come_first_and_what_has_no_known_cost_last() -> None:
    assert order(["b", "z", "a", "c"], {"b": 9.0, "c": 1.0}) == ["c", "b", "a", "z"]


def test_a_method_that_fails_is_told_and_the_rest_goes_on(bench: Bench) -> None:
    found = bench.run()
    assert bench.ran == ["cheap", "broken", "dear", "unknown"]
    assert states(found) == {"cheap": "measured", "broken": "failed", "dear": "measured", "unknown": "measured"}
    assert found["broken"].reason == "it broke"
    assert found["dear"].evidence is not None
    assert found["dear"].evidence.machine.endswith("CPU") or "," in found["dear"].evidence.machine


def test_what_is_measured_is_kept_and_what_failed_is_tried_again(bench: Bench) -> None:
    bench.run()
    bench.ran.clear()
    assert states(bench.run()) == {"dear": "kept", "cheap": "kept", "unknown": "kept", "broken": "failed"}
    assert bench.ran == ["broken"]
    bench.ran.clear()
    assert states(bench.run(scale="smoke"))["cheap"] == "measured", "evidence of another scale is none of this one"


def test_fresh_measures_again_and_sets_aside_what_was_there(bench: Bench) -> None:
    bench.run()
    bench.ran.clear()
    bench.run(fresh=True)
    assert bench.ran == ["cheap", "dear", "unknown", "broken"], "now by what they took here, 2 s each"
    assert (bench.out / "reproduce-cheap-small.old" / "cheap-small.json").is_file()


def test_evidence_of_another_version_or_damaged_is_measured_again(bench: Bench) -> None:
    bench.run()
    for name, change in {"cheap": {"versions": {"pilothouse": "0.0.1"}}, "dear": {"claims": 3}}.items():
        path = claim_folder(bench.out, name, "small") / f"{name}-small.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    bench.ran.clear()
    assert states(bench.run()) == {"unknown": "kept", "cheap": "measured", "broken": "failed", "dear": "measured"}


def test_an_interrupt_keeps_what_is_done_and_the_next_call_goes_on(bench: Bench) -> None:
    bench.interrupt = "dear"
    assert states(bench.run()) == {"cheap": "measured", "broken": "failed"}
    bench.interrupt = ""
    bench.ran.clear()
    assert states(bench.run())["dear"] == "measured"
    assert "cheap" not in bench.ran


def test_a_budget_leaves_what_does_not_fit_and_bounds_what_does(bench: Bench) -> None:
    found = bench.run("5m")  # each takes 100 s by the bench's clock; the dear one took 500 s before
    assert bench.limits == [300.0, 200.0, 100.0]
    assert states(found) == {"cheap": "measured", "broken": "failed", "dear": "left", "unknown": "measured"}
    assert found["dear"].reason == "takes about 8 min 20 s, the budget has 1 min 40 s left"
    assert bench.run("5m", fresh=True)["dear"].state == "left"
    spent = bench.run("50s", fresh=True)
    assert spent["unknown"].reason == "the budget is spent"


def test_what_is_finished_of_an_experiment_is_not_counted_again(bench: Bench) -> None:
    folder = claim_folder(bench.out, "dear", "small")
    write_json(folder / "cells" / "0.json", {"facts": {}, "outcome": {}, "seconds": 420.0})
    assert bench.run("5m")["dear"].state == "measured", "80 s of its 500 are left, and 100 of the budget"


def test_an_experiment_that_the_budget_ends_is_left_not_failed(bench: Bench) -> None:
    bench.late = "unknown"
    found = bench.run("1h")
    assert (found["unknown"].state, found["unknown"].reason) == ("left", "the budget ended in the middle of it")


def test_processor_time_is_counted_when_an_experiment_is_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        ru_utime, ru_stime = 0.0, 0.0

    monkeypatch.setattr(all_claims.resource, "getrusage", lambda _: Usage)
    apart = bench.apart

    def spend(*arguments: Any) -> None:
        Usage.ru_utime += 50.0
        Usage.ru_stime += 10.0
        apart(*arguments)

    monkeypatch.setattr(bench, "apart", spend)
    found = bench.run("100s-core")
    assert states(found) == {"cheap": "measured", "broken": "failed", "dear": "left", "unknown": "left"}
    assert bench.limits == [None, None]


def test_an_unknown_scale_is_refused_before_anything_runs(bench: Bench) -> None:
    with pytest.raises(ConfigError, match="unknown scale 'smal'"):
        bench.run(scale="smal")
    assert bench.ran == []
