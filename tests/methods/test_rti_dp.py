"""Diffusion policy and its real-time iterations: experiments run and continue, bars are those that were set."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.control.chunks import ChunkBatch
from pilothouse.control.regression import OneCall, Regression
from pilothouse.control.samplers import Draws
from pilothouse.core.cards import Verdict
from pilothouse.core.columns import ColumnStatistics
from pilothouse.core.errors import ConfigError
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments import acting, diffusion_policy
from pilothouse.methods.experiments.rti_dp import JUDGED
from pilothouse.methods.experiments.rti_dp.arms import ARMS, BASE, BASE_ONE, CLIP_3, CLIP_13, COLD, COLD_DDIM, RTI_3
from pilothouse.methods.experiments.rti_dp.claims import claims
from pilothouse.policies.denoisers import ResidualMLP
from pilothouse.policies.diffusion import DiffusionChunk
from pilothouse.reports.progress import Progress
from pilothouse.training import ablate


def test_smoke_reproductions_run_share_their_policies_and_continue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, count in (("rti-dp", 7), ("diffusion-policy", 3)):
        method = find_method(name)
        evidence = method.reproduce("smoke", tmp_path, Progress())
        assert evidence.verdict is Verdict.SMOKE
        assert len(evidence.claims) == count
        assert (tmp_path / evidence.figure).is_file()
        json.dumps(evidence.to_dict(), default=str)
    assert sorted(p.parent.name.rpartition("-")[0] for p in (tmp_path / "runs").glob("*/model")) == [
        "regression-0",
        "regression-1",
        "seed-0",
        "seed-1",
    ]
    monkeypatch.setattr(ablate, "train", None)  # everything is read back
    monkeypatch.setattr(acting, "evaluate_actions", None)
    tables = json.loads(json.dumps(dict(evidence.tables)))
    assert find_method("diffusion-policy").reproduce("smoke", tmp_path, Progress()).tables == tables


@pytest.mark.parametrize("name", ["rti-dp", "diffusion-policy"])
def test_there_is_no_experiment_for_a_gpu(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="use --scale small"):
        find_method(name).reproduce("gpu", tmp_path, Progress())


def figures(success: float, jerk: float = 0.1, ms: float = 10.0) -> dict[str, Any]:
    return {"success": {"estimate": success}, "jerk": jerk, "ms": ms, "calls_per_action": 12.5}


def training(**changes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    names = {"judged": JUDGED, "base": BASE, "one": BASE_ONE, "rti": RTI_3, "ddim": COLD_DDIM, "cold": COLD}
    names |= {"clip3": CLIP_3, "clip13": CLIP_13}
    found = {arm: figures(0.8) for arm in ARMS}
    return found | {names[key]: value for key, value in changes.items()}


@pytest.mark.parametrize(
    ("good", "index", "just", "short"),
    [
        ("judged", 0, figures(0.77, ms=1.0), figures(0.759, ms=1.0)),
        ("judged", 2, figures(0.8, ms=2.0), figures(0.8, ms=2.1)),
        ("ddim", 3, figures(0.65), figures(0.66)),
        ("cold", 4, figures(0.1), figures(0.11)),
        ("one", 5, figures(0.8, jerk=0.17), figures(0.8, jerk=0.16)),
        ("clip3", 6, figures(0.6), figures(0.61)),
    ],
)
def test_bars_are_those_of_the_claims(good: str, index: int, just: dict[str, Any], short: dict[str, Any]) -> None:
    assert claims([training(**{good: just})] * 2, JUDGED)[index].passed
    assert not claims([training(**{good: short})] * 2, JUDGED)[index].passed


def test_bars_of_diffusion_policy() -> None:
    def one(full: float, mean: float, quick: float, below: int) -> dict[str, Any]:
        ways = {"middle": [-1.0] * below + [1.0] * (10 - below), "successes": [1.0] * 10}
        return {"DDPM 100": {**figures(full), **ways}, "DDIM 10": figures(quick), "regression": figures(mean)}

    assert [c.passed for c in diffusion_policy.claims([one(0.8, 0.6, 0.76, 2)] * 2)] == [True] * 3
    assert [c.passed for c in diffusion_policy.claims([one(0.8, 0.61, 0.75, 9)] * 2)] == [False] * 3


def test_calls_of_the_arms() -> None:
    assert {name: len(arm.sampler.model_dump().get("steps", [])) for name, arm in ARMS.items() if "RTI" in name} == {
        "RTI 2,1,0": 3,
        "RTI 7 calls": 7,
        "RTI 13 calls": 13,
        "RTI clip 3": 3,
        "RTI clip 13": 13,
    }
    assert {arm.execute for name, arm in ARMS.items() if "Ta 8" in name} == {8}
    assert {arm.execute for name, arm in ARMS.items() if "Ta 8" not in name} == {1}


def test_regression_learns_the_mean_and_answers_it_in_one_call() -> None:
    columns = ColumnStatistics.of(torch.tensor([[-1.0], [1.0]]))
    policy = DiffusionChunk(horizon=2, observation_steps=1, denoiser=ResidualMLP(width=16, blocks=1)).policy(
        columns, columns, 0
    )
    batch = ChunkBatch(
        torch.zeros(2, 1, 1), torch.tensor([[[1.0], [9.0]], [[-0.5], [9.0]]]), torch.tensor([[True, False]] * 2)
    )
    optimizer = torch.optim.Adam(policy.parameters(), 0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss, _ = Regression()(policy, batch, torch.Generator())
        loss.backward()
        optimizer.step()
    draws = Draws(1, (2, 1), torch.Generator())
    chunk, calls = OneCall().sample(policy, policy.condition(torch.zeros(1, 1, 1)), draws, torch.arange(1))
    assert calls == 1
    assert chunk[0, 0, 0].item() == pytest.approx(0.25, abs=0.02)
