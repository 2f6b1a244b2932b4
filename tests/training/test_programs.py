"""Whatever can search can be trained through: every program of the catalogue takes a training step and resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pilothouse.programs.base import Program
from pilothouse.reports.progress import Progress
from pilothouse.training.run import resume, train

PROGRAMS = sorted(Program.catalogue.classes())

#: Narrow settings for programs whose defaults are wide.
SMALL: dict[str, dict[str, Any]] = {
    "budgeted-group": {"n": 4, "budgets": [2, 4], "announcements": ["1", "2"]},
    "prefixed-group": {"n": 2, "prefix": "1"},
    "prism": {"n": 2, "delta": 1.0},
    "forced-answer": {"n": 2, "force": "="},
    "resample": {"n": 2},
    "resample-until": {"n": 2, "target": "1", "candidates": 2, "continuations": 2, "iters": 2},
    "resilience": {"n": 2},
    "transplant": {"n": 2, "hint": "1"},
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_training_through_a_program_and_resuming_it(name: str, nano: Any, tmp_path: Path) -> None:
    program = {"name": name, "sampling": {"max_tokens": 16}, **SMALL.get(name, {})}
    settings = {"steps": 2, "prompts": 2}
    credit = "reinforce-pp" if Program.catalogue.classes()[name].one_outcome else "grpo"
    config = nano("grpo", program=program, credit=credit, training=settings)
    whole = train(config, tmp_path / "whole", Progress())
    cost = whole.result["cost"]
    assert cost["tokens_sampled"] > 0
    rollouts = list(whole.store.rollouts())
    assert {row["step"] for row in rollouts} == {1, 2}
    first = nano("grpo", program=program, credit=credit, training={**settings, "steps": 1})
    half = train(first, tmp_path / "half", Progress())
    again = resume(half.store.path, 2, Progress())
    weights = [load_file(run.store.path / "model" / "model.safetensors") for run in (whole, again)]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
