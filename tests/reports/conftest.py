from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from pilothouse.reports.runs import RunStore


@pytest.fixture
def console() -> Console:
    return Console(file=io.StringIO(), width=100, color_system=None)


@pytest.fixture
def result() -> dict[str, Any]:
    def accuracy(share: float) -> dict[str, Any]:
        return {"accuracy": share, "low": share - 0.05, "high": share + 0.05, "level": 0.95, "problems": 1024}

    gain = {"estimate": 0.2, "low": 0.15, "high": 0.25, "level": 0.95}
    return {
        "finished": True,
        "method": "grpo",
        "task": "sorting",
        "steps": 3,
        "before": {"sampled": accuracy(0.4), "greedy": accuracy(0.5)},
        "after": {"sampled": accuracy(0.6), "greedy": accuracy(0.7)},
        "gain": {"sampled": gain, "greedy": {**gain, "low": None}},
        "cost": {"tokens_sampled": 123456, "tokens_computed": 234567, "tokens_reused": 0, "seconds": 30.0},
        "seconds": {"sample": 60.0, "update": 130.0, "record": 10.0},
        "figure": "figures/training.png",
    }


@pytest.fixture
def finished(tmp_path: Path, result: dict[str, Any]) -> RunStore:
    """A run of three steps, four rollouts each, with figure and result."""
    store = RunStore.create(tmp_path / "run", "grpo", "sorting")
    store.write_config(
        {
            "method": "grpo",
            "seed": 7,
            "task": {"name": "sorting", "max_tokens": 32},
            "policy": {"model": "tiny", "size": "1m"},
            "program": {"name": "group", "n": 4, "sampling": {"temperature": 1.0}},
            "credit": {"name": "grpo"},
            "training": {"steps": 3, "learning_rate": 0.0003},
        }
    )
    for step in (1, 2, 3):
        store.append_metrics({"step": step, "reward": step / 4, "accuracy": float("nan"), "length": 5.0})
        rewards = [0.0, 1.0, 0.5, float("nan")]
        store.append_rollouts(
            {"step": step, "prompt": "3 1\n", "response": f"{step}: \x1b[31m{i}", "reward": reward, "length": 4}
            for i, reward in enumerate(rewards)
        )
    (store.path / "figures").mkdir()
    (store.path / "figures" / "training.png").write_bytes(b"")
    store.write_result(result)
    return store
