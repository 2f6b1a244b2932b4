"""Checkpoints: written whole or not at all, checked when read, newest good one first."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pilothouse.core.errors import RunError

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Args:
        step: steps done.
        weights: trainable parameters by name.
        state: everything else: optimiser, data cursor, RNG, the method's parts, the run's counters.
    """

    step: int
    weights: dict[str, Tensor]
    state: dict[str, Any]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint and delete the oldest beyond ``keep``.

    Files go to a temporary folder that is renamed when all are on disk; a manifest holds their SHA-256.

    Args:
        folder: the run's ``checkpoints`` folder.
        checkpoint: what to save.
        keep: how many of the newest to keep.

    Raises:
        RunError: the disk is full or the folder cannot be written; earlier checkpoints are untouched.
    """
    target = folder / f"step-{checkpoint.step:06d}"
    temporary = folder / f".{target.name}.partial"
    try:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        save_file(
            {n: t.detach().cpu().contiguous() for n, t in checkpoint.weights.items()}, temporary / "weights.safetensors"
        )
        buffer = io.BytesIO()
        torch.save(checkpoint.state, buffer)
        (temporary / "state.pt").write_bytes(buffer.getvalue())
        digests = {path.name: _digest(path) for path in sorted(temporary.iterdir())}
        (temporary / _MANIFEST).write_text(json.dumps({"step": checkpoint.step, "sha256": digests}, indent=2))
        for path in temporary.iterdir():
            _flush(path)
        shutil.rmtree(target, ignore_errors=True)
        os.replace(temporary, target)
        _flush(folder)
    except (OSError, SafetensorError) as error:  # safetensors reports a full disk as an error of its own
        shutil.rmtree(temporary, ignore_errors=True)
        raise RunError(
            f"cannot write checkpoint {target}: {getattr(error, 'strerror', None) or error}; free space, then continue "
            f"with 'pilothouse train --resume {folder.parent}': the checkpoints already there are intact"
        ) from error
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return target


def load_latest(folder: Path, say: Callable[[str], None]) -> Checkpoint:
    """Return the newest checkpoint that is whole, saying so when a newer one is damaged.

    Args:
        folder: the run's ``checkpoints`` folder.
        say: called with a line about every damaged checkpoint.

    Raises:
        RunError: no checkpoint is whole.
    """
    for path in reversed(_all(folder)):
        fault = _fault(path)
        if not fault:
            state = torch.load(path / "state.pt", weights_only=True)
            return Checkpoint(int(path.name.removeprefix("step-")), load_file(path / "weights.safetensors"), state)
        say(f"checkpoint {path.name} is damaged ({fault}); using the one before it")
    raise RunError(f"no whole checkpoint in {folder}; start the run again without --resume")


def _all(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("step-*") if p.is_dir())


def _fault(path: Path) -> str:
    """Return what is wrong with a checkpoint folder, or an empty string."""
    try:
        digests: dict[str, str] = json.loads((path / _MANIFEST).read_text())["sha256"]
    except (OSError, ValueError, KeyError):
        return "its manifest is missing or unreadable"
    for name, digest in digests.items():
        if not (path / name).is_file():
            return f"{name} is missing"
        if _digest(path / name) != digest:
            return f"{name} does not match its SHA-256"
    return ""


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
