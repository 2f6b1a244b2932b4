"""The comparison of credits, cut down to what shows that it runs."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).parents[2] / "benchmarks" / "seven_credits.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    spec = importlib.util.spec_from_file_location("seven_credits", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "seven_credits", module)
    monkeypatch.setenv("PILOTHOUSE_CACHE", str(tmp_path / "cache"))
    spec.loader.exec_module(module)
    return module


def test_the_target_is_half_way_to_grpo(benchmark: Any) -> None:
    curves = [{"0": {"accuracy": 0.2}, "last": {"accuracy": end}} for end in (0.5, 0.7)]
    assert benchmark.target_of({"grpo": curves}) == pytest.approx(0.4)


def test_tokens_to_an_accuracy_by_hand(benchmark: Any) -> None:
    def at(tokens: float, accuracy: float) -> dict[str, float]:
        return {"tokens_computed": tokens, "accuracy": accuracy}

    curve = {"0": at(0, 0.2), "8": at(1000, 0.4), "last": at(3000, 0.6)}
    assert benchmark.tokens_to(curve, 0.5) == pytest.approx(2000)
    assert benchmark.tokens_to(curve, 0.3) == pytest.approx(500)
    assert benchmark.tokens_to(curve, 0.1) == 0
    assert benchmark.tokens_to(curve, 0.7) is None


@pytest.mark.parametrize("task", ["check-chain", "chain-arithmetic", "gsm8k-calc"])
def test_every_method_fits_every_task(benchmark: Any, task: str) -> None:
    methods = ["grpo", *filter(benchmark.known, benchmark.METHODS)]
    trial = benchmark.comparison(task, methods, 1)
    for method in methods:
        config = trial.config(method, 0)
        assert config.training.prompts * config.program.group_size == benchmark.PROMPTS * benchmark.GROUP


def test_a_finished_run_is_kept_and_a_missing_method_is_named(
    benchmark: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = {"PROMPTS": 5, "HELD_OUT": 4, "METHODS": ("riskpo", "hbpo", "no-such-method")}
    for name, value in small.items():
        monkeypatch.setattr(benchmark, name, value)
    short = replace(benchmark.SETTINGS["check-chain"], epochs=0.02, measure_at=(0, 1))
    monkeypatch.setitem(benchmark.SETTINGS, "check-chain", short)
    options = ["seven_credits", "--out", str(tmp_path), "--seeds", "1", "--tasks", "check-chain"]
    monkeypatch.setattr(sys, "argv", options)
    benchmark.main()
    table = (tmp_path / "table.md").read_text()
    assert [line.split(" | ")[1] for line in table.splitlines()[2:6]] == ["start", "grpo", "riskpo", "hbpo"]
    assert "Left out, because the library does not have it: no-such-method." in table
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    benchmark.main()
    assert times == {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert capsys.readouterr().out.count("| check-chain | hbpo |") == 2
