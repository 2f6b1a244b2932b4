"""Shared set-up: annotations of the numeric rooms are checked at run time, threads are fixed for repeatable sums."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from jaxtyping import install_import_hook

os.environ["HF_HUB_OFFLINE"] = "1"  # no test reaches the hub; read when its client is first imported
install_import_hook(["pilothouse.credit", "pilothouse.objectives", "pilothouse.core.rollouts"], "beartype.beartype")


@pytest.fixture(scope="session")
def gsm8k() -> Path:
    """Folder with GSM8K's train.jsonl and test.jsonl; skips where it is absent."""
    for folder in (os.environ.get("PILOTHOUSE_DATA", ""), "../shared/data/gsm8k"):
        if folder and (Path(folder) / "train.jsonl").is_file():
            return Path(folder)
    pytest.skip("GSM8K is not here; set PILOTHOUSE_DATA to a folder with its train.jsonl and test.jsonl")
