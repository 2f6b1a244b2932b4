"""An interrupted run, continued, is the uninterrupted run: weights, metrics and rollouts."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pilothouse.core.errors import RunError
from pilothouse.policies.causal_lm import VALUE_FILE
from pilothouse.reports.progress import Progress
from pilothouse.training.config import nested
from pilothouse.training.run import resume, train


class Recorder(Progress):
    """Keeps warnings for the test to read."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, line: str) -> None:
        self.warnings.append(line)


def weights(run: Path, network: str) -> dict[str, torch.Tensor]:
    values = run / network / VALUE_FILE
    return load_file(run / network / "model.safetensors") | (load_file(values) if values.is_file() else {})


def same(one: Path, other: Path) -> None:
    """Weights bit for bit, and every figure and rollout but the clocks."""
    for network in ("model", "critic"):
        if (one / network).is_dir():
            mine, theirs = weights(one, network), weights(other, network)
            assert mine.keys() == theirs.keys()
            assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    for name in ("metrics.jsonl", "rollouts.jsonl"):
        rows = [[json.loads(line) for line in (run / name).read_text().splitlines()] for run in (one, other)]
        for a, b in zip(*rows, strict=True):
            keys = [k for k in a if not k.startswith("seconds")]
            assert [a[k] for k in keys] == [b[k] for k in keys]


def cut(run: Path, step: int) -> None:
    """Leave the run as a power cut after ``step`` would: no later checkpoint, no model, no result."""
    for path in (run / "checkpoints").glob("step-*"):
        if int(path.name[5:]) > step:
            shutil.rmtree(path)
    shutil.rmtree(run / "model")


#: Unfinished responses, their slots, a second network and its optimiser: windows of 5 of at most 12 tokens.
SLOTS = {"training.window": 5, "critic.warmup": 1, "training.minibatches": 2, "program.n": 2}


@pytest.mark.parametrize("method", ["grpo", "ppo", "dapo", "t-ppo"])
def test_resumed_run_equals_uninterrupted_run(nano: Any, tmp_path: Path, method: str) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(nano(method, **(nested(SLOTS.items()) if method == "t-ppo" else {})), whole, Progress())
    shutil.copytree(whole, broken)
    cut(broken, 2)
    resume(broken, None, Progress())
    same(whole, broken)


def test_running_statistics_survive_a_resume(nano: Any, tmp_path: Path) -> None:
    config = nano("grpo", credit={"name": "normalized", "mean": "running", "std": "running"})
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(config, whole, Progress())
    shutil.copytree(whole, broken)
    cut(broken, 2)
    resume(broken, None, Progress())
    same(whole, broken)


def test_damaged_newest_checkpoint_falls_back_and_says_so(nano: Any, tmp_path: Path) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(nano(), whole, Progress())
    shutil.copytree(whole, broken)
    cut(broken, 3)
    state = broken / "checkpoints" / "step-000003" / "weights.safetensors"
    state.write_bytes(state.read_bytes()[:-7])
    progress = Recorder()
    resume(broken, None, progress)
    assert any("step-000003 is damaged" in line for line in progress.warnings)
    same(whole, broken)


def test_no_whole_checkpoint_is_one_sentence(nano: Any, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(nano(), run, Progress())
    for path in (run / "checkpoints").glob("step-*"):
        (path / "manifest.json").unlink()
    with pytest.raises(RunError, match="no whole checkpoint"):
        resume(run, None, Progress())


def test_more_steps_continue_a_finished_run(nano: Any, tmp_path: Path) -> None:
    whole, longer = tmp_path / "whole", tmp_path / "longer"
    train(nano(training={"steps": 6}), whole, Progress())
    train(nano(training={"steps": 4}), longer, Progress())
    resume(longer, 6, Progress())
    same(whole, longer)


def _command(run: Path) -> list[str]:
    options = {
        "--task": "chain-arithmetic",
        "--policy.size": "nano",
        "--policy.warm_start.epochs": "0.2",
        "--steps": "30",
        "--prompts": "4",
        "--training.eval_problems": "8",
        "--training.checkpoint_every": "3",
        "--program.sampling.max_tokens": "12",
        "--out": str(run),
    }
    return [sys.executable, "-m", "pilothouse", "train", "grpo", *(x for pair in options.items() for x in pair)]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_killed_process_resumes_to_identical_weights(tmp_path: Path, number: int) -> None:
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(_command(whole), check=True, capture_output=True, env=env)
    process = subprocess.Popen(_command(broken), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)
    deadline = time.monotonic() + 120
    while not list((broken / "checkpoints").glob("step-00000[3-9]")):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130), said.decode()
    assert not (broken / "model").exists()
    command = [sys.executable, "-m", "pilothouse", "train", "--resume", str(broken)]
    subprocess.run(command, check=True, capture_output=True, env=env)
    same(whole, broken)
