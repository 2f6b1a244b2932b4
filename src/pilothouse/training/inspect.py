"""Looking at what exists: a policy's held-out accuracy, and what this machine can do."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pilothouse import __version__
from pilothouse.core.errors import ConfigError
from pilothouse.core.parts import validated
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.local import LocalEngine
from pilothouse.engines.runner import Runner
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import tiny_policy
from pilothouse.programs.base import Sampling
from pilothouse.programs.group import Group
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.evaluate import evaluate, held_out
from pilothouse.training.kinds import kind_of_run
from pilothouse.training.sources import Source


def evaluate_source(
    source: str, table: Mapping[str, Any], n: int, samples: int, temperature: float, seed: int, progress: Progress
) -> dict[str, Any]:
    """Measure the policy at ``source`` on held-out problems, or in episodes if it acts.

    Args:
        source: a run's folder, a model's folder, or a hub id.
        table: ``{"task": ...}`` with a name, settings, or both; a run's own task is the default.
        n: held-out problems or episodes.
        samples: attempts at each.
        temperature: 0 is greedy.
        seed: root of the choice of problems and of sampling.
        progress: shows what happens.

    Raises:
        ConfigError: there is no task or no model.
        RunError: the run has not finished yet.
    """
    if n < 1 or samples < 1:
        raise ConfigError(
            f"--n and --samples count from 1, not {min(n, samples)}: give at least one problem and attempt"
        )
    if (Path(source) / "config.toml").is_file():
        store = RunStore.open(Path(source))
        acted = kind_of_run(store.read_config()).evaluate_run(store, table, n, seed)
        if acted is not None:
            if samples != 1 or temperature:
                raise ConfigError(
                    "--samples and --temperature are of language policies: this run acts; raise --n instead"
                )
            return acted
    found = Source.find(source)
    task, config = found.task(table), found.config
    trained = task.name == config.get("task", {}).get("name")  # how long a response may be belongs to the task
    how = config["program"].get("sampling", {}) if trained else {}
    sampling = validated(Sampling, {**how, "temperature": temperature}, "the sampling")
    policy = found.policy(task, progress)
    seeds = SeedTree(seed) / "evaluation"
    problems = held_out(task, n, seeds / "problems")
    progress.phase(f"{len(problems)} problems x {samples}")
    runner = Runner(LocalEngine(policy))
    figures = evaluate(runner, Group(n=samples, sampling=sampling), policy, task, problems, seeds / "samples")
    return {"source": found.path, "task": task.name, "temperature": temperature, "seed": seed, **figures.to_dict()}


def examine() -> dict[str, Any]:
    """Return versions, devices, extras and the outcome of a small self-test."""
    found: dict[str, Any] = {"pilothouse": __version__, "python": platform.python_version()}
    found |= {name: version(name) for name in ("torch", "transformers", "numpy")}
    found["processor"] = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    if torch.cuda.is_available():
        device = torch.cuda.get_device_properties(0)
        found["gpu"] = f"{device.name}, {device.total_memory / 2**30:.0f} GiB"
    else:
        found["gpu"] = "none; everything runs on the processor"
    extras = {
        "diffusers": "control",
        "datasets": "hub",
        "peft": "lora",
        "math_verify": "math",
        "httpx": "remote",
        "fastapi": "serve",
        "jinja2": "dashboard",
        "tensorboard": "trackers",
    }
    for module, extra in extras.items():
        there = importlib.util.find_spec(module) is not None
        found[f"extra {extra}"] = "ready" if there else f"absent: pip install 'pilothouse[{extra}]'"
    found["self-test"] = _self_test()
    return found


def _self_test() -> str:
    """Sample from and differentiate through a nano policy."""
    policy: CausalPolicy = tiny_policy("0123456789+=", 0, "nano")
    engine = LocalEngine(policy)
    from pilothouse.core.requests import Sample, Sampled

    prompt = policy.codec.encode("1+1=")
    engine.submit(0, Sample(prompt, n=2, max_tokens=4, seed=0))
    answers = [reply for _, reply, _ in engine.poll()]
    reply = answers[0]
    assert isinstance(reply, Sampled)
    tokens = torch.tensor([reply.continuations[0].tokens])
    policy.token_scores([prompt], tokens, torch.ones_like(tokens, dtype=torch.bool)).logprobs.sum().backward()
    return "a small policy samples and trains"
