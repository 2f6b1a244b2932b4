"""Lite PPO's experiments run, reach their bars where they are exact, and can fail; ablations continue."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from pilothouse.core.cards import Evidence, Verdict
from pilothouse.core.errors import ConfigError
from pilothouse.core.seeds import SeedTree
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.lite_ppo import LitePPO
from pilothouse.credit.reward_noise import RewardNoise
from pilothouse.methods.base import find_method
from pilothouse.methods.experiments import arms as experiment_runs
from pilothouse.methods.experiments.lite_ppo import CREDITS, amplification
from pilothouse.methods.experiments.lite_ppo.amplification import _rollouts
from pilothouse.methods.experiments.lite_ppo.claims import easy_claims, length_claims, preset_claims
from pilothouse.methods.experiments.lite_ppo.designs import EASY
from pilothouse.methods.experiments.toys import Expressions, WorkedOrDirect
from pilothouse.reports.progress import Progress
from pilothouse.training.ablate import ablate
from pilothouse.training.config import resolve

pytestmark = pytest.mark.usefixtures("fresh_cache")


def test_smoke_reproduction_runs_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method = find_method("lite-ppo")
    evidence = method.reproduce("smoke", tmp_path, Progress())
    assert evidence.verdict is Verdict.SMOKE
    assert len(evidence.claims) == 9
    assert (tmp_path / evidence.figure).is_file()
    json.dumps(evidence.to_dict(), default=str)

    def forbidden(*_: Any) -> None:
        raise AssertionError("a finished run was run again")

    monkeypatch.setattr(experiment_runs, "_run", forbidden)
    (tmp_path / evidence.figure).unlink()
    again = method.reproduce("smoke", tmp_path, Progress())
    assert again.tables == evidence.tables
    assert again.claims == evidence.claims


def test_gradient_amplification_reaches_its_bars() -> None:
    claims, table = amplification(200)
    assert [claim.passed for claim in claims] == [True, True, True]
    group, mixed, none = (claim.measured for claim in claims)
    assert group > 0.7
    # one scale for the whole batch cannot move energy between its groups
    assert mixed == pytest.approx(none, rel=1e-4)
    assert table["success 0.90"]["group std"]["estimate"] < group


def test_wrong_credit_fails_the_claim() -> None:
    claims, _ = amplification(50, {**CREDITS, "group std": LitePPO()})
    assert not claims[0].passed
    claims, _ = amplification(50, {**CREDITS, "mixed": GRPO()})
    assert not claims[1].passed
    assert Evidence.judge(claims, "small") is Verdict.PARTLY


def runs(**figures: float) -> list[dict[str, dict[str, float]]]:
    start = {"accuracy": 0.3, "length": 4.0, "distinct": 6.0}
    return [{"0": start, "20": {**start, **figures}}] * 2


def test_bars_are_those_of_the_claims() -> None:
    grpo = runs(distinct=3.0, accuracy=0.96)
    for distinct, accuracy, expected in ((3.91, 0.95, [True, True]), (3.89, 0.94, [False, False])):
        found = {"GRPO": grpo, "Lite PPO": grpo, "no std": runs(distinct=distinct, accuracy=accuracy)}
        assert [claim.passed for claim in easy_claims(found, 20)] == expected
    cases = (
        ((0.511, 4.06, 0.505), [True, True, True]),
        ((0.509, 4.04, 0.48), [False, False, False]),
    )
    for (ahead, length, same), expected in cases:
        found = {
            "GRPO": runs(accuracy=0.5),
            "Lite PPO": runs(accuracy=ahead, length=length),
            "mixed, sequence mean": runs(accuracy=same),
        }
        assert [claim.passed for claim in length_claims(found, 20)] == expected
    for lite, expected in ((0.471, True), (0.469, False)):
        (claim,) = preset_claims({"GRPO": runs(accuracy=0.5), "Lite PPO": runs(accuracy=lite)}, 20)
        assert claim.passed is expected


def test_toy_tasks_judge_their_own_solutions() -> None:
    expressions, worked = Expressions(), WorkedOrDirect(count=4000)
    assert len(expressions.problems("train")) == 81
    for problem in expressions.demonstrations(SeedTree(0)):
        assert expressions.score(problem, problem.solution).reward == 1
    target = expressions.problems("train")[14]
    assert target.answer == "24"
    verdicts = {"4*6+0": True, "3*7+3": True, "4*6+1": False, "24": False, "4*6": False, "4*6+0+0": False}
    assert {text: expressions.score(target, text).correct for text in verdicts} == verdicts
    shown = worked.demonstrations(SeedTree(0))
    right = {long: [] for long in (False, True)}
    for problem in shown:
        assert set(problem.solution) <= set(worked.character_set)
        right[problem.solution[0] == "-"].append(worked.score(problem, problem.solution).correct)
    assert len(right[False]) / len(shown) == pytest.approx(worked.direct_share, abs=0.03)
    assert sum(right[False]) / len(right[False]) == pytest.approx(0.25, abs=0.04)
    assert sum(right[True]) / len(right[True]) == pytest.approx(0.55, abs=0.04)


def test_noise_is_per_sample_per_batch_and_continues() -> None:
    rollouts = _rollouts().replace(rewards=torch.ones(256))
    noise = RewardNoise(std=0.05, seed=3, of=LitePPO())
    first = noise(rollouts)
    state = noise.state_dict()
    second = noise(rollouts)
    assert len(set(first.flatten().tolist())) == 256
    assert not torch.equal(first, second)
    resumed = RewardNoise(std=0.05, seed=3, of=LitePPO())
    resumed.load_state_dict(state)
    assert torch.equal(resumed(rollouts), second)
    assert float(noise.before(rollouts).rewards.std()) == pytest.approx(0.05, rel=0.15)
    quiet = RewardNoise(std=0.0, of=LitePPO())
    assert not quiet(rollouts).any()


def test_arms_differ_in_nothing_but_their_switch() -> None:
    ours, other = EASY.config("Lite PPO", 1).model_dump(), EASY.config("no std", 1).model_dump()
    assert ours["credit"].pop("of") == {"name": "lite-ppo", "mean": "group", "std": "batch", "eps": 1e-6, "ddof": 1}
    assert other["credit"].pop("of")["std"] == "none"
    assert {k: v for k, v in ours.items() if k != "task"} == {k: v for k, v in other.items() if k != "task"}
    assert ours["credit"]["seed"] == 1


TABLE: dict[str, Any] = {
    "task": {"name": "chain-arithmetic"},
    "policy": {"size": "nano", "warm_start": {"epochs": 0.2}},
    "training": {"steps": 1, "prompts": 2, "eval_problems": 4, "eval_samples": 2},
    "program": {"n": 2, "sampling": {"max_tokens": 8}},
}


def test_ablation_compares_and_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = resolve("lite-ppo", find_method("lite-ppo").policy_gradient, TABLE)

    def run() -> Any:
        return ablate(base, "credit.std", ["batch", "none"], seeds=2, out=tmp_path, progress=Progress())

    found = run()
    assert [(row.value, row.base) for row in found.rows] == [("batch", True), ("none", False)]
    assert found.rows[0].difference.estimate == 0
    assert found.rows[1].accuracy.n == 2
    assert found.samples == 2
    assert len(list(tmp_path.iterdir())) == 4

    unfinished = next(path for path in sorted(tmp_path.iterdir()) if "none" in path.name)
    (unfinished / "result.json").write_text(
        json.dumps({**json.loads((unfinished / "result.json").read_text()), "finished": False})
    )
    monkeypatch.setattr("pilothouse.training.ablate.train", None)  # everything left is read back or continued
    assert run().to_dict()["rows"] == found.to_dict()["rows"]


def test_ablation_of_an_unknown_switch_is_one_sentence(tmp_path: Path) -> None:
    base = resolve("lite-ppo", find_method("lite-ppo").policy_gradient, TABLE)
    with pytest.raises(ConfigError, match="did you mean 'std'"):
        ablate(base, "credit.stdd", ["none"], seeds=1, out=tmp_path, progress=Progress())
    assert not list(tmp_path.iterdir())
