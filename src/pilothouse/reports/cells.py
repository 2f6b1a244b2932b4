"""Pieces of an experiment that are done once: a finished one is read back instead of done again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

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
    outcome = json.loads(dumps(work()))
    write_json(path, {"facts": wanted, "outcome": outcome})
    return outcome
