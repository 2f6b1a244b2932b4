"""Settings and state of what learns, in a folder: settings as JSON, state as tensors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from pilothouse.core.errors import RunError

_STATE, _SETTINGS = "state.pt", "settings.json"


def save_state(folder: Path, settings: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Write settings and state.

    Args:
        folder: created if absent.
        settings: JSON-ready.
        state: tensors and numbers, nested.

    Raises:
        RunError: the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(dict(state), folder / _STATE)
        (folder / _SETTINGS).write_text(json.dumps(settings, indent=2))
    except OSError as error:
        raise RunError(f"cannot write {folder}: {error}; free space or name another folder") from error


def read_settings(folder: Path) -> dict[str, Any]:
    """Return the settings that ``save_state`` wrote; raises what reading JSON raises."""
    return json.loads((folder / _SETTINGS).read_text())


def read_state(folder: Path) -> dict[str, Any]:
    """Return the state that ``save_state`` wrote; raises what reading tensors raises."""
    return torch.load(folder / _STATE, weights_only=True)


#: What reading a missing or damaged file raises.
DAMAGE = (OSError, ValueError, KeyError, RuntimeError, EOFError)
