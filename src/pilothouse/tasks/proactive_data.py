"""ProactiveBench's reward data: windows of events, a candidate offer, and what people thought of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pilothouse.core.errors import DataError

SOURCE = "thunlp/ProactiveAgent, dataset/reward_data (Apache-2.0)"


@dataclass(frozen=True)
class Judged:
    """One judged row.

    Args:
        events: the events of the window, a line each.
        offer: the candidate offer; ``None`` where there was none.
        need: whether help was judged needed.
        accepted: whether the offer was judged acceptable; ``None`` where there was none.
        trace: what all rows of one recording have in common: its first event.
        category: the recording's kind, as the data name it.
    """

    events: str
    offer: str | None
    need: bool
    accepted: bool | None
    trace: str
    category: str


def read_judged(path: str | Path) -> list[Judged]:
    """Return the rows of a reward-data file, or of all ``*.jsonl`` in a folder.

    Args:
        path: ``train_data.jsonl``, ``test_data.jsonl``, or the folder that holds them.

    Raises:
        DataError: there is no such file, or a line is not a judged row; the message names file and line.
    """
    path = Path(path)
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    rows: list[Judged] = []
    for file in files:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read '{file}' ({error}); give ProactiveBench's reward data: {SOURCE}") from None
        rows += [_row(line, f"{file}, line {number}") for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        raise DataError(f"'{path}' has no rows; give ProactiveBench's reward data: {SOURCE}")
    return rows


def _row(line: str, where: str) -> Judged:
    try:
        row: Mapping[str, Any] = json.loads(line)
        events = [f"{event.get('time', '')} {event['event']}".strip() for event in row["obs"]]
        offer, need, valid = row["pred_task"], row["help_needed"], row["valid"]
        first = str(row["obs"][0]["event"])
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        raise DataError(
            f'{where}: not a judged row with "obs" (at least one {{"time", "event"}}), "pred_task", "valid" and '
            f'"help_needed"; give the reward data of {SOURCE}'
        ) from None
    return Judged(
        events="\n".join(events),
        offer=None if offer is None else str(offer),
        need=bool(need),
        accepted=None if offer is None else bool(valid),
        trace=first,
        category=str(row.get("category", "")),
    )
