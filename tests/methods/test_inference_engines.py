"""The experiments on inference engines run, continue, and can fail."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pilothouse.core.cards import Verdict
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.methods.base import find_method, language_methods
from pilothouse.methods.experiments.inference_engines import techniques
from pilothouse.methods.experiments.inference_engines.claims import (
    arrival_claim,
    draft_claims,
    selector_claims,
    technique_claims,
)
from pilothouse.methods.experiments.inference_engines.techniques import decode_steps, keys_and_values, network, prefixes
from pilothouse.policies.tiny import TinyShape
from pilothouse.reports.progress import Progress


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("inference-engines")
    assert "inference-engines" not in language_methods()
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 10
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)
    monkeypatch.setattr(techniques, "warm_start", None)  # everything is read back
    assert method.reproduce("smoke", tmp_path, Progress()).tables == evidence.tables
    with pytest.raises(ConfigError, match="engines check URL"):
        method.reproduce("gpu", tmp_path, Progress())


def test_passes_by_hand() -> None:
    policy = network(TinyShape(width=16, layers=1, heads=2, kv_heads=1, head_dim=8, mlp=16), SeedTree(0))
    found = keys_and_values(policy, 128, 128, SeedTree(0).numpy())
    assert (found["plain_passes"], found["passes"], found["identical"]) == (24_512, 255, 1)
    shared = prefixes(policy, 16, 240, 192, SeedTree(1).numpy())
    assert (shared["plain_tokens"], shared["identical"]) == (3840, 1)
    assert 940 <= shared["tokens"] <= 192 + 16 * 48, "some begin alike beyond what all share"


def test_steps_by_hand() -> None:
    # batches of 2: 5 + 3; slots: 5 and 1, then 3 beside the 5, then 1 beside both
    assert decode_steps([5, 1, 3, 1], 2) == (8, 5)
    assert decode_steps([4], 8) == (4, 4)


def test_bars_are_those_of_the_claims() -> None:
    def runs(ratio: float, same: float = 1.0) -> list[dict[str, float]]:
        return [
            {"plain_s": ratio, "static_s": ratio, "seconds": 1.0, "identical": same, "plain_passes": 1, "passes": 1}
        ] * 2

    def batches(steps: float, ratio: float, same: float = 1.0) -> list[dict[str, float]]:
        return [{"static_steps": steps, "steps": 1.0, "static_s": ratio, "seconds": 1.0, "identical": same}] * 2

    def shared(share: float, same: float = 1.0) -> list[dict[str, float]]:
        return [{"plain_s": 1.0, "seconds": share, "identical": same, "plain_tokens": 1, "tokens": 1}] * 2

    good = technique_claims(runs(3.0), batches(1.8, 1.4), shared(0.6))
    assert [c.passed for c in good] == [True] * 4
    bad = technique_claims(runs(2.9), batches(1.7, 1.3), shared(0.61))
    assert [c.passed for c in bad] == [False] * 4
    differing = technique_claims(runs(3.0, 0.9), batches(1.8, 1.4, 0.9), shared(0.6, 0.9))
    assert [c.passed for c in differing] == [False, True, False, False]
    waits = {"whole_p95_s": 1.0, "identical": 1.0, "first_s": 1.0, "whole_first_s": 1.0}
    assert arrival_claim([{**waits, "p95_s": 0.6}] * 2).passed
    assert not arrival_claim([{**waits, "p95_s": 0.61}] * 2).passed
    assert not arrival_claim([{**waits, "p95_s": 0.5, "identical": 0.0}] * 2).passed
    assert [c.passed for c in draft_claims([{"per_call": 1.5}] * 2, {"p": 0.011, "samples": 9})] == [True, True]
    assert [c.passed for c in draft_claims([{"per_call": 1.4}] * 2, {"p": 0.01, "samples": 9})] == [False, False]
    assert [c.passed for c in selector_claims()] == [True] * 3
