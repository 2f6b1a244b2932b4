"""A nano policy that learns nothing but runs everything in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pilothouse.methods.base import find_method
from pilothouse.training.config import RunConfig, resolve

NANO: dict[str, Any] = {
    "task": {"name": "chain-arithmetic"},
    "policy": {"size": "nano", "warm_start": {"epochs": 0.2}},
    "training": {"steps": 4, "prompts": 4, "eval_problems": 8, "checkpoint_every": 1, "keep_checkpoints": 10},
    "program": {"sampling": {"max_tokens": 12}},
}


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Warm starts of the tests are cached together, away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PILOTHOUSE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def nano(tmp_path: Path) -> Any:
    """Return a configuration of a method on the nano policy, with a reward that differs between samples."""

    def make(method: str = "grpo", **changes: Any) -> RunConfig:
        return resolve(method, find_method(method).policy_gradient, NANO, changes)

    return make
