"""The command line of policies that act."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

SMALL = (
    "--task reach --steps 2 --training.demonstrations 5 --training.batch 8 --training.eval_episodes 3 "
    "--policy.denoiser.width 16 --policy.denoiser.blocks 1 --sampler.steps 2"
)


def test_train_show_eval_and_resume(cli: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = cli("train", "diffusion-policy", *SMALL.split(), "--out", run)
    assert done.status == 0, done.err
    assert "success" in done.out
    assert str(run) in done.out
    shown = cli("show", run)
    assert "diffusion-policy on reach" in shown.out
    assert "loss" in shown.out
    measured = cli("eval", run, "--n", 3, "--sampler", "ddim", "--sampler.steps", 4, "--execute", 1)
    assert "network calls a plan 4" in measured.out
    assert cli("eval", run, "--n", 3, "--json").json()["episodes"] == 3
    assert "raise --n" in cli("eval", run, "--n", 3, "--samples", 2).refusal()
    assert cli("train", "--resume", run, "--steps", 4, "--json").json()["steps"] == 4


def test_methods_and_tasks_are_listed(cli: Any) -> None:
    assert "pick-lift" in cli("tasks").out
    assert "reach" in cli("tasks", "--json").json()
    assert "--sampler" in cli("methods", "diffusion-policy").out
    assert "fit for use; scripted expert" in cli("tasks", "validate", "pick-lift").out
    assert cli("tasks", "validate", "reach", "--json").json()["fit"]
    assert "unknown task 'raech'" in cli("tasks", "validate", "raech").refusal()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train diffusion-policy", ["no task", "--task NAME"]),
        ("train diffusion-policy --task raech", ["unknown control task 'raech'", "'reach'"]),
        ("train diffusion-policy --task gym:Hoper-v5", ["unknown environment 'Hoper-v5'", "'Hopper-v5'"]),
        ("train diffusion-policy --task gym:InvertedPendulum-v5", ["no scripted expert", "--data"]),
        ("train td3-bc --task gym:InvertedPendulum-v5", ["no scripted expert", "--data"]),
        ("train diffusion-policy --task reach --execute 16", ["execute = 16", "lower --execute"]),
        ("train diffusion-policy --task reach --sampler ddmp", ["unknown sampler 'ddmp'", "'ddpm'"]),
        ("train diffusion-policy --task reach --group 3", ["unknown setting 'program'"]),
        ("ablate diffusion-policy --switch execute --values 1,2", ["trains no language policy"]),
    ],
)
def test_one_sentence_names_cause_and_fix(cli: Any, arguments: str, words: list[str]) -> None:
    said = cli(*arguments.split()).refusal()
    assert all(word in said for word in words), said
    assert not any(Path("runs").glob("*")), "a run that could not begin left a folder"
