"""``pilothouse compare`` on nano policies: a budget that ends runs, continuation, and refusals."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pilothouse.training import compare as comparing

SMALL = [
    *("--task", "chain-arithmetic", "--policy.size", "nano", "--policy.warm_start.epochs", "0.2"),
    *("--prompts", "2", "--group", "2", "--training.eval_problems", "4", "--training.eval_every", "1"),
    *("--training.checkpoint_every", "1", "--program.sampling.max_tokens", "8"),
]


def compare(cli: Any, *words: Any, seeds: int = 2, out: str = "cmp") -> Any:
    return cli("compare", *words, *SMALL, "--seeds", seeds, "--out", out)


def test_compares_at_a_budget_and_continues(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    found = compare(cli, "grpo", "rloo", "--budget", "150-tokens", "--jobs", 1, "--json").json()
    assert [row["method"] for row in found["standings"]] == ["grpo", "rloo"]
    kept = json.loads(Path("cmp/comparison.json").read_text())
    assert len(kept["runs"]) == 4
    for run in kept["runs"]:
        cost, steps = run["costs"]["tokens computed"], run["costs"]["steps"]
        assert cost >= 150 > cost * (steps - 1) / steps - 60, "it stops after the step that spends the budget"
        assert [point[0] for point in run["curve"]] == sorted(point[0] for point in run["curve"])
    problems = [
        [json.loads(line)["problem"] for line in (Path(run["folder"]) / "rollouts.jsonl").open()][:4]
        for run in kept["runs"]
        if run["seed"] == 0
    ]
    assert problems[0] == problems[1], "every method meets the same problems in the same order"

    shutil.rmtree(kept["runs"][3]["folder"])
    made: list[str] = []
    once = comparing.run_once
    monkeypatch.setattr(comparing, "run_once", lambda config, *rest: made.append(config.method) or once(config, *rest))
    again = compare(cli, "grpo", "rloo", "--budget", "150-tokens", "--jobs", 1, "--json").json()
    assert made == ["rloo"]
    assert [row["score"] for row in again["standings"]] == [row["score"] for row in found["standings"]]
    assert "<svg" in Path("cmp/report.html").read_text()


def test_runs_side_by_side_are_the_runs_one_by_one(cli: Any) -> None:
    said = compare(cli, "grpo", "rloo", "--steps", 1, "--jobs", 2, seeds=1)
    assert said.status == 0, said.err
    assert "| rloo" in said.out
    assert "report  cmp/report.html" in said.out
    alone = compare(cli, "grpo", "rloo", "--steps", 1, "--jobs", 1, "--json", seeds=1, out="alone").json()
    apart = json.loads(Path("cmp/comparison.json").read_text())
    assert alone["standings"][1]["score"] == apart["standings"][1]["score"]


def test_a_failing_run_is_told(cli: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(command: list[str], *, stderr: Any, **_: Any) -> subprocess.CompletedProcess[bytes]:
        stderr.write(b"problems: generated\nerror: the disk is full\n")
        return subprocess.CompletedProcess(command, 2)

    monkeypatch.setattr(comparing.subprocess, "run", fails)
    said = compare(cli, "grpo", "rloo", "--steps", 1, "--jobs", 2, seeds=1).refusal()
    assert "on chain-arithmetic, seed 0 failed (the disk is full); its log is cmp/runs/" in said
    assert list(Path("cmp/runs").glob("*.log"))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["grpo"], "needs two methods or more"),
        (["grpo", "grpo"], "method grpo is named twice"),
        (["grpo", "rlo"], "unknown method 'rlo'; did you mean 'rloo'?"),
        (["grpo", "rloo:credit.nonsense=1"], "unknown setting"),
        (["grpo", "rloo:"], "'' in 'rloo:' is no setting: write METHOD:name.of.setting=value"),
        (["grpo", "rloo:training.epochs"], "'training.epochs' in 'rloo:training.epochs' is no setting"),
        (["grpo", "grpo:seed=3"], "sets seed, which all methods of a comparison share: use --seed"),
        (["grpo", "grpo:training.epochs=1"], "'grpo' and 'grpo:training.epochs=1' are configured alike"),
        (["grpo", "rloo", "--budget", "4-samples"], "'4-samples' is not a budget in tokens: write it like 200k-tokens"),
        (["grpo", "rloo", "--budget", "600-steps"], "is not a budget in tokens"),
        (["grpo", "rloo", "--budget", "many"], "is not a budget in tokens"),
        (["grpo", "rloo", "--budget", "4000"], "is not a budget in tokens"),
        (["grpo", "rloo", "--budget=-5-tokens"], "is not a budget in tokens"),
        (["grpo", "rloo", "--budget", "0-tokens"], "is nothing: give at least 1-tokens"),
        (["grpo", "rloo", "--budget", "3-tokens"], "does not pay for one step of 4 responses"),
        (["grpo", "rloo", "--budget", "100-tokens", "--steps", "3"], "give one of the two"),
        (["grpo", "grpo:training.steps=3", "--budget", "100-tokens"], "give one of the two"),
        (["grpo", "rloo", "--budget", "100-tokens", "--training.schedule", "linear"], "--training.schedule constant"),
        (["grpo", "rloo", "--jobs", "-1"], "--jobs counts runs at a time"),
        (["grpo", "rloo", "--training.promts", "3"], "did you mean 'prompts'?"),
        (["grpo", "diffusion-policy"], "grpo makes a language policy and diffusion-policy a policy that plans actions"),
        (["grpo", "prism"], "method 'prism' trains no language policy"),
    ],
)
def test_refusals(cli: Any, words: list[str], reason: str) -> None:
    assert reason in compare(cli, *words).refusal()
    assert not Path("cmp").exists()


@pytest.mark.parametrize("seeds", [0, -2])
def test_no_seeds_are_refused(cli: Any, seeds: int) -> None:
    assert "a comparison needs one seed at least" in compare(cli, "grpo", "rloo", seeds=seeds).refusal()
    assert not Path("cmp").exists()
