"""The growth curves: a step of each size does the work it should, and exponents are slopes."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).parents[2] / "benchmarks" / "growth.py"


@pytest.fixture
def growth(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SOURCE.parent))
    spec = importlib.util.spec_from_file_location("growth", SOURCE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_step_is_of_the_size_asked_for(growth: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = growth.measure({"prompts": 3, "length": 5, "group": 2}, "nano")
    assert found["seconds"] > 0
    assert found["mib"] >= 0
    taken = growth.Trainer.step

    def short(trainer: Any, step: int) -> dict[str, Any]:
        return {**taken(trainer, step), "length": 4.0}

    monkeypatch.setattr(growth.Trainer, "step", short)
    with pytest.raises(RuntimeError, match="learnt from 6 responses of 24 tokens"):
        growth.measure({"prompts": 3, "length": 5, "group": 2}, "nano")


def test_curves_exponents_table_and_figure(growth: Any, tmp_path: Path) -> None:
    asked: list[dict[str, int]] = []

    def take(work: Mapping[str, int], size: str) -> dict[str, float]:
        asked.append(dict(work))
        tokens = work["prompts"] * work["group"] * work["length"]
        return {"seconds": tokens / 100, "processor": (tokens / 100) ** 2, "mib": 50.0 + len(asked) // 6}

    axes = {"prompts": (4, 8, 16), "length": (8, 16)}
    found = growth.curves(2, "nano", axes, take)
    assert asked[:2] == [{"prompts": 4, "length": 32, "group": 4}, {"prompts": 8, "length": 32, "group": 4}]
    assert len(asked) == 10
    assert found["prompts"][0]["seconds"] == [5.12, 5.12]
    assert growth.exponent(found["prompts"], "seconds") == pytest.approx(1)
    assert growth.exponent(found["length"], "processor") == pytest.approx(2)
    text = growth.table(found)
    assert "| prompts 4 " in text
    assert "5.12 [5.12, 5.12]" in text
    assert "50 [50, 51]" in text
    assert "**2.00**" in text
    assert growth.figure(found, tmp_path / "growth").stat().st_size > 1000


def test_the_whole_of_it(growth: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def here(work: Mapping[str, int], size: str) -> dict[str, float]:
        found = growth.measure(work, size)
        return {**found, "mib": found["mib"] + 1}  # this process held more before

    monkeypatch.setattr(growth, "apart", here)
    small = {"prompts": (1, 2), "length": (3, 4), "group": (2, 3)}
    monkeypatch.setattr(growth, "AXES", small)
    monkeypatch.setattr(growth, "BASE", {"prompts": 1, "length": 4, "group": 2})
    monkeypatch.setattr(sys, "argv", ["growth.py", "--rounds", "1", "--size", "nano", "--out", str(tmp_path)])
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    growth.main()
    kept = json.loads((tmp_path / "growth.json").read_text())
    assert {axis: len(points) for axis, points in kept["curves"].items()} == {"prompts": 2, "length": 2, "group": 2}
    assert set(kept["exponents"]["group"]) == {"seconds", "processor", "mib"}
