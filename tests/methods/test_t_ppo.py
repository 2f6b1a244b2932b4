"""T-PPO's experiment runs, continues, and can fail; its task has the lengths it says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pilothouse.core.cards import Verdict
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.full_size import FullRun
from pilothouse.methods.experiments.t_ppo import SMOKE, design
from pilothouse.methods.experiments.t_ppo.claims import gpu_claims, learning_claims, summary, utilisation_claims
from pilothouse.methods.experiments.t_ppo.count_on import LIMITS, TAILS, CountOn
from pilothouse.methods.experiments.t_ppo.design import SHAPE, VARIANTS, Design, Run
from pilothouse.methods.experiments.t_ppo.ideal import right_slot_use
from pilothouse.reports.progress import Progress

pytestmark = pytest.mark.usefixtures("fresh_cache")


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("t-ppo")
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 4
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)
    monkeypatch.setattr(design, "_run", None)  # everything is read back
    assert method.reproduce("smoke", tmp_path, Progress()).tables == evidence.tables


@pytest.mark.parametrize("tail", TAILS)
def test_lengths_and_verdicts_of_counting_on(tail: Any) -> None:
    task = CountOn(tail=tail)
    problems = task.problems("train")
    lengths = [len(problem.answer) for problem in problems]
    assert {n: lengths.count(n) // 10 for n in set(lengths)} == TAILS[tail]
    assert len({problem.id for problem in problems}) == len(problems)
    assert max(lengths) + 1 < task.limit == LIMITS[tail]
    assert max(len(str(problem.prompt)) for problem in problems) + task.limit <= SHAPE.context
    eight = next(problem for problem in problems if str(problem.prompt) == "8" + "06=")
    assert eight.answer == "890123"
    assert task.score(eight, "890123").correct
    assert not any(task.score(eight, wrong).correct for wrong in ("89012", "8901234", "890124", ""))


@pytest.mark.parametrize(("tail", "share", "whole", "bar"), [("A", 0.721, 0.375, 1.7), ("B", 0.750, 0.230, 2.5)])
def test_slots_are_as_busy_as_the_lengths_allow(tail: Any, share: float, whole: float, bar: float) -> None:
    task = CountOn(tail=tail)
    ours, theirs = right_slot_use(task, 8, 240, 0), right_slot_use(task, task.limit, 240, 0)
    assert ours == pytest.approx(share, abs=0.03)
    assert theirs == pytest.approx(whole, abs=0.03)
    assert ours / theirs >= bar


def test_demonstrations_are_wrong_as_often_as_said() -> None:
    task = CountOn(tail="B", count=4000)
    shown = task.demonstrations(SeedTree(0))
    right_length = [p for p in shown if len(p.solution) == len(p.answer)]
    assert 1 - len(right_length) / len(shown) == pytest.approx(0.25, abs=0.02)
    digits = [a == b for p in right_length for a, b in zip(p.solution, p.answer, strict=True)]
    assert 1 - sum(digits) / len(digits) == pytest.approx(0.05, abs=0.01)
    right = sum(bool(task.score(p, p.solution).correct) for p in shown) / len(shown)
    assert right == pytest.approx(0.5, abs=0.03)


def test_variants_differ_in_window_and_minibatches_alone() -> None:
    for tail, variants in VARIANTS.items():
        tables = {name: Design().config(tail, variant, 1).model_dump(mode="json") for name, variant in variants.items()}
        for name, table in tables.items():
            assert table["training"]["window"] == (8 if name.startswith("T-PPO") else LIMITS[tail])
            assert (
                table["training"].pop("minibatches") == table["critic"].pop("minibatches") == variants[name].minibatches
            )
            del table["training"]["window"]
            assert table["credit"].pop("cut") == ("bootstrap" if "bootstrap" in name else "hold")
        assert all(table == next(iter(tables.values())) for table in tables.values())


def run(probes: list[float], use: float = 0.5) -> Run:
    return Run(probes, 100, 100.0 * len(probes), use, 0.5, 0.0, 10, 1.0, 2.0, 3.0)


def test_a_level_is_reached_by_two_probes_in_a_row() -> None:
    assert run([0.5, 0.9, 0.8, 0.9, 0.92, 0.9]).reached(0.9) == 400
    assert run([0.9, 0.9]).reached(0.9) == 100
    assert run([0.5, 0.9, 0.8]).reached(0.9) == 200, "never: all of the budget"


def test_bars_are_those_of_the_claims() -> None:
    def use(ours: float, name: str, other: str) -> dict[str, list[Run]]:
        return {name: [run([0.5], ours)] * 2, other: [run([0.5], 0.25)] * 2}

    for b, a, expected in ((0.625, 0.425, [True, True]), (0.62, 0.42, [False, False])):
        found = {"B": use(b, "T-PPO x4", "PPO x4"), "A": use(a, "T-PPO x2", "PPO x2")}
        assert [c.passed for c in utilisation_claims(found)] == expected

    def curve(at: int, end: float) -> list[Run]:
        """Right nine times in ten from probe ``at - 1`` on."""
        return [run([0.9 if probe >= at - 1 else 0.5 for probe in range(15)] + [end])] * 2

    slow, slower = curve(8, 0.93), curve(12, 0.95)
    for ours, end, expected in ((6, 0.93, [True, True]), (7, 0.92, [False, False])):
        claims = learning_claims({"T-PPO x4": curve(ours, end), "PPO x4": slower, "PPO x8": slow})
        assert [c.passed for c in claims] == expected
    never = curve(99, 0.5)
    (ratio, _) = learning_claims({"T-PPO x4": curve(6, 0.93), "PPO x4": never, "PPO x8": never})
    assert ratio.measured == pytest.approx(600 / 1500)
    assert "PPO x4 not in 2, PPO x8 not in 2" in ratio.note
    means = summary({"B": {"T-PPO x4": curve(6, 0.93), "PPO x4": never}})
    assert (means["B"]["T-PPO x4"]["reached"], means["B"]["PPO x4"]["reached"]) == (2.0, 0.0)


def test_the_full_size_bar() -> None:
    def full(rewards: list[float], seconds: float) -> FullRun:
        return FullRun({}, {}, tuple({"reward": r, "seconds": seconds} for r in rewards))

    rising = [i / 40 for i in range(40)]
    theirs = full(rising, 10.0)
    assert gpu_claims({"T-PPO": [full(rising, 7.0)] * 2, "PPO": [theirs] * 2})[0].passed
    assert not gpu_claims({"T-PPO": [full(rising, 7.1)] * 2, "PPO": [theirs] * 2})[0].passed


def test_the_smoke_design_is_the_design_made_small() -> None:
    assert replace(SMOKE, **{name: getattr(Design(), name) for name in Design.__dataclass_fields__}) == Design()
