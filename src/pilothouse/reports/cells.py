"""Pieces of an experiment that are done once: a finished one is read back instead of done again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pilothouse.core.errors import RunError
from pilothouse.reports.files import dumps, read_json, write_json


def kept(path: Path, facts: Mapping[str, Any], work: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
    """Return the outcome of ``work``, from ``path`` if it was done there before under the same facts.

    Args:
        path: a JSON file, written whole when the work is done.
        facts: everything the outcome depends on, JSON-ready; other facts in the file mean that it is done again.
        work: does it; its outcome is JSON-ready.

    Raises:
        RunError: the file is damaged or cannot be written.
    """
    wanted = json.loads(dumps(facts))
    if path.is_file():
        saved = read_json(path)
        if saved.get("facts") == wanted:
            return saved["outcome"]
    started = time.perf_counter()
    outcome = json.loads(dumps(work()))
    write_json(path, {"facts": wanted, "outcome": outcome, "seconds": time.perf_counter() - started})
    return outcome


def kept_seconds(folder: Path) -> float:
    """Return the wall-clock seconds that all pieces kept under a folder took, whenever that was.

    Args:
        folder: of an experiment; what is no such piece, or is damaged, counts nothing.
    """
    seconds = 0.0
    for path in folder.rglob("*.json"):
        try:
            piece = read_json(path)
        except RunError:
            continue
        if isinstance(piece, dict) and "facts" in piece:
            seconds += float(piece.get("seconds", 0.0))
    return seconds
