"""TreePO's experiments run, continue, and can fail; the task has the blind spots it says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilothouse.core.cards import Verdict
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments.treepo import training
from pilothouse.methods.experiments.treepo.claims import economy_claims, stopper_claims, training_claims
from pilothouse.methods.experiments.treepo.economy import draws_for
from pilothouse.methods.experiments.treepo.stopper import Economy, Memoryless, stopper_economy
from pilothouse.methods.experiments.treepo.sums import LongSums
from pilothouse.methods.experiments.treepo.training import ARMS, Design, at_tokens
from pilothouse.reports.progress import Progress

pytestmark = pytest.mark.usefixtures("fresh_cache")


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("treepo")
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 8
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)
    monkeypatch.setattr(training, "_run", None)  # everything is read back
    assert method.reproduce("smoke", tmp_path, Progress()).tables == evidence.tables


def test_there_is_no_experiment_for_a_gpu(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use --scale small"):
        find_method("treepo").reproduce("gpu", tmp_path, Progress())


def test_a_memoryless_stopper_saves_what_the_calibration_says() -> None:
    found = stopper_economy(Memoryless(mean=20), 8, 8, 16, 60, SeedTree(0))
    assert found.responses == 480
    assert found.ratio == pytest.approx(0.77, abs=0.08)
    assert found.shared == pytest.approx(0.70, abs=0.04)
    assert found.group_length == pytest.approx(32, abs=1.5)


def test_draws_that_find_as_much() -> None:
    # two things, seen 2 and 2 times of 4: one draw finds 1, two find 1 + 2/3
    assert draws_for(1.0, [[2, 2]]) == pytest.approx(1)
    assert draws_for(5 / 3, [[2, 2]]) == pytest.approx(2)
    assert draws_for(4 / 3, [[2, 2]]) == pytest.approx(1.5)
    assert draws_for(3.0, [[1, 1, 1, 1]]) == pytest.approx(3)
    assert draws_for(9.0, [[1, 1, 1, 1]]) == pytest.approx(4), "no more than were drawn"


def test_blind_spots_are_where_greedy_imitation_is_wrong() -> None:
    task = LongSums(train_size=1500, test_size=10)
    shown = task.demonstrations(SeedTree(0))
    right = [task.score(p, p.solution).correct for p in shown]
    assert sum(right) / len(right) == pytest.approx(0.45, abs=0.08)
    assert all(task.score(p, p.solution).parts["format"] for p in shown)
    assert all(task.score(p, p.solution).correct for p in task.problems("train"))
    assert max(len(p.solution) for p in shown) <= task.limit
    assert not {p.prompt for p in task.problems("train")} & {p.prompt for p in task.problems("test")}
    clear = task.model_copy(update={"blind": 0.0}).demonstrations(SeedTree(0))
    assert all(task.score(p, p.solution).correct for p in clear)


def test_bars_are_those_of_the_claims() -> None:
    good = Economy(0.85, 0.70, 50.0, 40.0, 10)
    assert [c.passed for c in stopper_claims([good] * 2)] == [True, True]
    assert [c.passed for c in stopper_claims([Economy(0.86, 0.71, 50.0, 40.0, 10)] * 2)] == [False, False]
    alone = {"distinct": 8.0, "answers": 4.0, "effective": 16.0, "length": 20.0}
    for ratio, distinct, cost, expected in ((0.8, 7.6, 0.8, [True] * 3), (0.81, 7.5, 0.81, [False] * 3)):
        tree = {**alone, "distinct": distinct, "computed_ratio": ratio}
        tree |= {"cost_at_equal_distinct": cost, "cost_at_equal_answers": 1.0}
        found = economy_claims([{"independent": alone, "tree": tree}] * 2, "tree")
        assert [c.passed for c in found] == expected

    def rows(tokens: float, end: float, late: float) -> list[dict[str, float]]:
        start = {"step": 0.0, "tokens": 0.0, "greedy": 0.2, "sampled": 0.4}
        return [
            start,
            {**start, "step": 120.0, "tokens": tokens, "greedy": end},
            {**start, "step": 150.0, "tokens": 101.0, "greedy": late},
        ]

    group = [rows(100.0, 0.5, 0.9)] * 2
    for tokens, end, late, expected in ((85.0, 0.481, 0.5, [True] * 3), (86.0, 0.479, 0.49, [False] * 3)):
        claims = training_claims({"GRPO": group, "TreePO": [rows(tokens, end, late)] * 2}, 120)
        assert [c.passed for c in claims] == expected
    assert at_tokens(group[0], 100.0)["step"] == 120
    assert at_tokens(group[0], 1000.0)["step"] == 150


def test_arms_differ_in_program_and_credit_alone() -> None:
    tables = {arm: Design().config(arm, 1).model_dump(mode="json") for arm in ARMS}
    base = tables["GRPO"]
    for arm, table in tables.items():
        changed = {key for key in base if key not in ("method", "task") and base[key] != table[key]}
        assert changed <= {"program", "credit"}, arm
    assert tables["TreePO"]["credit"]["name"] == "tree-subgroup"
    assert tables["TreePO"]["program"] == tables["tree sampling"]["program"]
    assert base["program"]["n"] == tables["TreePO"]["program"]["width"] == 16
