"""Reads GSM8K from a folder, or from the hub in a child process with a deadline so that it never hangs."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from pilothouse.core.errors import DataError

HUB = "openai/gsm8k"
_DEADLINE = 60.0  # seconds for the whole download of about 5 MB
_PROBE = (
    "import os, socket, urllib.parse as u\n"
    "end = u.urlparse(os.environ.get('HF_ENDPOINT', 'https://huggingface.co'))\n"
    "socket.create_connection((end.hostname, end.port or (443 if end.scheme == 'https' else 80)), timeout=3)\n"
)
_FETCH = (
    "import sys, datasets\n"
    "for split, rows in datasets.load_dataset('openai/gsm8k', 'main').items():\n"
    "    rows.to_json(f'{sys.argv[1]}/{split}.jsonl')\n"
)


@dataclass(frozen=True)
class Row:
    """One word problem.

    Args:
        question: the problem's text.
        answer: the worked solution, which ends in ``#### result``.
    """

    question: str
    answer: str


def from_folder(folder: Path) -> dict[str, list[Row]]:
    """Return the rows of ``train.jsonl`` and ``test.jsonl`` in a folder.

    Raises:
        DataError: a file is missing, empty or malformed.
    """
    return {split: _rows(folder / f"{split}.jsonl") for split in ("train", "test")}


def from_hub() -> dict[str, list[Row]] | None:
    """Return the hub's rows, or ``None`` when ``datasets`` is absent or the hub does not answer within seconds."""
    if importlib.util.find_spec("datasets") is None:
        return None
    offline = os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    if not offline and not _succeeds(_PROBE, timeout=5.0):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return from_folder(Path(folder)) if _succeeds(_FETCH, folder, timeout=_DEADLINE) else None


def _succeeds(script: str, *arguments: str, timeout: float) -> bool:
    command = [sys.executable, "-c", script, *arguments]
    try:
        return subprocess.run(command, capture_output=True, timeout=timeout, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _rows(path: Path) -> list[Row]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"cannot read '{path}' ({error}); give a folder with GSM8K's train.jsonl and test.jsonl"
        ) from error
    rows: list[Row] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            rows.append(Row(str(row["question"]), str(row["answer"])))
        except (ValueError, KeyError, TypeError):
            raise DataError(
                f'{path}, line {number}: not a JSON object with "question" and "answer"; repair or delete the line'
            ) from None
    if not rows:
        raise DataError(f"'{path}' is empty; give a folder with GSM8K's train.jsonl and test.jsonl")
    return rows
