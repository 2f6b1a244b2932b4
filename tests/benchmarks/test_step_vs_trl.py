"""The benchmark of a training step runs, and refuses to compare unequal work."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pilothouse.policies.tiny import tiny_policy

SOURCE = Path(__file__).parents[2] / "benchmarks" / "step_vs_trl.py"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[Any]:
    sys.path.insert(0, str(SOURCE.parent))
    spec = importlib.util.spec_from_file_location("step_vs_trl", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(SOURCE.parent))


@pytest.fixture
def job(benchmark: Any, tmp_path: Path) -> dict[str, Any]:
    tiny_policy(benchmark.HashReward.character_set, 0, "nano").save(tmp_path / "model")
    made = {"prompts": 2, "data": "generated", "tokens": 6, "steps": 1, "warm_up": 0, "micro": 0, "trl_rows": 0}
    made |= {"shortest": 2, "longest": 7}
    return {**made, "model": str(tmp_path / "model")}


@pytest.mark.parametrize("side", ["pilothouse", "trl"])
@pytest.mark.parametrize("mode", ["full", "prescribed", "ragged", "verified"])
def test_a_step_of_each_side_does_the_work_asked_for(
    benchmark: Any, job: dict[str, Any], tmp_path: Path, side: str, mode: str
) -> None:
    if side == "trl":
        pytest.importorskip("trl", reason="TRL is not installed; it comes with the 'bench' extra")
    job["mode"] = mode
    steps = benchmark.SIDES[side](job, tmp_path / "out")
    middle = benchmark.summary(steps, job)
    assert len(steps) == 1
    assert middle["responses"] == 16
    if mode == "prescribed":
        work = sys.modules["step_work"]
        texts = work.prompts(work.HashReward(data="generated"), 2)
        assert middle["tokens"] == sum(work.prescribed(t, i, job) for t in texts for i in range(work.GROUP))
    else:
        assert middle["tokens"] == 16 * 6 if mode == "full" else 16 <= middle["tokens"] <= 16 * 6
    assert middle["seconds"] >= middle["generate"] + middle["train"] > 0


def test_unequal_work_is_refused(benchmark: Any, job: dict[str, Any]) -> None:
    step = {"seconds": 1.0, "responses": 16, "tokens": 95}
    with pytest.raises(RuntimeError, match="95 tokens"):
        benchmark.summary([step], {**job, "mode": "full"})
    with pytest.raises(RuntimeError, match="15 responses"):
        benchmark.summary([{**step, "responses": 15}], {**job, "mode": "ragged"})
