"""Folders of runs as training leaves them, made up in a moment, and the pages over them."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")

import tomli_w
from starlette.testclient import TestClient

from pilothouse.dashboard.app import make_app
from pilothouse.dashboard.view import House

NASTY = 'it\'s "quoted" & <b onload=x>100%</b> #?'


def metrics(step: int, **more: Any) -> dict[str, Any]:
    """A row of a language run."""
    row = {"step": step, "reward": 0.1 * step, "accuracy": min(1.0, 0.05 * step), "loss": 1.0 / step, "entropy": 0.5}
    return row | {"length": 8.0, "tokens_computed": 1000 * step, "seconds": 0.5, "length_wrong": None} | more


def rollout(step: int, group: int, at: int, **more: Any) -> dict[str, Any]:
    """A row of ``rollouts.jsonl`` with what is known of its three tokens."""
    right = at % 2 == 0
    row = {"step": step, "group": group, "problem": f"p{step}-{group}", "prompt": f"{step}+{group}="}
    row |= {"response": f"{at}.", "reward": float(right), "correct": right, "parts": {"correct": float(right)}}
    row |= {"status": "ok", "detail": "", "stop": "eos", "length": 3, "trained": True, "tokens": [5, 6, 1]}
    row |= {"actions": "110", "logprobs": [-0.05, -2.5, 0.0], "gap": [0.0, 0.02, None], "credit": [0.75, -1.5, 0.0]}
    return row | {"widths": [1, 1, 0]} | more


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def accuracy(value: float) -> dict[str, Any]:
    return {"accuracy": value, "low": value - 0.1, "high": value + 0.1, "reward": value, "length": 8.0}


def make_run(path: Path, method: str = "grpo", steps: int = 6, finished: bool = True, **more: Any) -> Path:
    """A run's folder: six of ten steps, two groups of four responses each."""
    path.mkdir(parents=True)
    config = {"method": method, "seed": 3, "task": {"name": "sums", "size": 7}, "training": {"steps": 10}}
    (path / "config.toml").write_text(tomli_w.dumps(config | {"versions": {"python": "3.12"}} | more))
    write_rows(path / "metrics.jsonl", [metrics(step) for step in range(1, steps + 1)])
    write_rows(
        path / "rollouts.jsonl",
        [rollout(step, g, at) for step in range(1, steps + 1) for g in (0, 1) for at in range(4)],
    )
    result: dict[str, Any] = {"finished": finished, "before": {"sampled": accuracy(0.2), "greedy": accuracy(0.3)}}
    if finished:
        result |= {"after": {"sampled": accuracy(0.6), "greedy": accuracy(0.7)}, "seconds": {"sample": 4.0}}
        result["gain"] = {"sampled": {"estimate": 0.4, "low": 0.3, "high": 0.5, "level": 0.95}}
    (path / "result.json").write_text(json.dumps(result))
    (path / "figures").mkdir()
    (path / "figures" / "training.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>')
    return path


def make_search(path: Path) -> Path:
    """A search by a particle filter: two particles, two rounds."""
    path.mkdir(parents=True)
    config = {"search": "particle-scaling", "seed": 0, "task": {"name": "sums"}, "program": {"name": "particles"}}
    (path / "config.toml").write_text(tomli_w.dumps(config))
    nodes = [
        {"id": 0, "parent": None, "text": "", "tokens": 0, "state": "chosen"},
        {"id": 1, "parent": 0, "text": "first <i>\n", "tokens": 2, "state": "chosen", "score": 0.9},
        {"id": 2, "parent": 0, "text": "other\n", "tokens": 2, "state": "pruned", "score": 0.1},
        {"id": 3, "parent": 1, "text": "last", "tokens": 1, "state": "chosen", "answer": "7"},
    ]
    rounds = [
        {"step": 1, "theta": [0.9, 0.1], "ancestors": [0, 0], "ess": 1.22, "resampled": True},
        {"step": 2, "theta": [0.5, 0.5], "ancestors": [0, 1], "ess": 2.0, "resampled": False},
    ]
    trace = {"kind": "particles", "nodes": nodes, "rounds": rounds, "notes": ["a note"]}
    row = {"budget": "", "problem": "p", "prompt": "3+4=", "answer": "7", "correct": True, "reward": 1.0}
    row |= {"status": "ok", "cost": {"tokens_sampled": 9, "tokens_reused": 4, "calls": 3}, "trace": trace}
    write_rows(path / "traces.jsonl", [row, row | {"correct": False, "trace": {}}])
    budget = {"budget": "", "accuracy": 0.5, "low": 0.1, "high": 0.9, "problems": 2}
    (path / "result.json").write_text(json.dumps({"budgets": [budget | {"per_problem": {"tokens_sampled": 9}}]}))
    return path


def interval(value: float) -> dict[str, Any]:
    return {"estimate": value, "low": value - 0.1, "high": value + 0.1, "level": 0.95, "n": 3}


def make_comparison(path: Path) -> Path:
    """A comparison of two methods with one run each."""
    for method in ("grpo", "rloo"):
        make_run(path / "runs" / f"{method}-sums-seed-0-abc", method)
    rows = [
        {key: interval(0.5) for key in ("score", "difference", "bootstrap", "improves")}
        | {"method": method, "figures": {"greedy": interval(0.5)}, "costs": {"tokens computed": interval(1e4)}}
        | {"of a later version": 1}
        for method in ("grpo", "rloo")
    ]
    found = {"tasks": ["sums"], "seeds": [0], "budget": "10 steps", "standings": rows, "command": "pilothouse compare"}
    found |= {"metric": {"name": "accuracy", "share": True}, "further": [{"name": "greedy", "share": True}]}
    found |= {"costs": [{"name": "tokens computed", "share": False}], "note": "Held-out answers."}
    found["by_task"] = {"sums": {method: interval(0.5) for method in ("grpo", "rloo")}}
    (path / "comparison.json").write_text(json.dumps(found))
    (path / "report.html").write_text("<!doctype html><script>alert(1)</script>")
    return path


def make_evidence(folder: Path, method: str = "riskpo", **more: Any) -> Path:
    folder.mkdir(parents=True)
    claim = {"statement": "it <b>rises</b>", "bar": "at least 2 points", "measured": 3.5, "low": 1.0, "high": 6.0}
    claim |= {"level": 0.95, "passed": True, "unit": "points", "n": 3, "note": ""}
    found = {"method": method, "scale": "small", "claims": [claim, claim | {"passed": False, "measured": None}]}
    found |= {"verdict": "partly reproduced", "tables": {}, "seconds": 61.0, "command": "pilothouse reproduce riskpo"}
    path = folder / f"{method}-small.json"
    path.write_text(json.dumps(found | {"figure": ""} | more))
    return path


@pytest.fixture
def kit() -> Any:
    """The functions of this file."""
    return SimpleNamespace(**globals())


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with something of every kind."""
    root = tmp_path / "my runs"
    make_run(root / "grpo-sums")
    make_run(root / NASTY.replace("/", "|"), "ppo", finished=False)
    make_search(root / "search one")
    make_comparison(root / "compare-grpo-rloo")
    make_evidence(root / "reproduce-riskpo-small")
    return root


@pytest.fixture
def pages(runs: Path) -> TestClient:
    """The pages over them."""
    return browser(runs)


def browser(root: Path) -> TestClient:
    return TestClient(make_app(House(root), "127.0.0.1"), base_url="http://127.0.0.1:6061")
