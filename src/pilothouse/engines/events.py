"""An answer that arrives as server-sent events: its pieces as they come, and the whole when it is there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pilothouse.engines.completions import Completion

CONTENT_TYPE = "text/event-stream"


class Events:
    """Collects the events of one answer.

    Args:
        tell: told the index and the new text of each piece.

    Attributes:
        begun: a piece has come.
        ended: the server has said that this was all.
    """

    def __init__(self, tell: Callable[[int, str], None]) -> None:
        self._tell = tell
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None
        self.begun = self.ended = False

    def line(self, line: str) -> None:
        """Read a line of the stream.

        Raises:
            ValueError: it is no event of this protocol, or the server says that it failed.
        """
        data = line.removeprefix("data:").strip()
        if not line.startswith("data:") or data == "[DONE]":
            self.ended |= data == "[DONE]" and line.startswith("data:")
            return
        chunk = json.loads(data)
        if not isinstance(chunk, dict) or "error" in chunk or not isinstance(chunk.get("choices", []), list):
            raise ValueError(f"it broke off: {str(chunk)[:300]}")
        self._usage = chunk.get("usage") or self._usage
        for choice in chunk.get("choices", []):
            self._read(choice)

    def _read(self, choice: dict[str, Any]) -> None:
        at = int(choice.get("index", 0))
        known = self._choices.setdefault(at, {"index": at, "text": ""})
        piece = (choice["delta"].get("content") if "delta" in choice else choice.get("text")) or ""
        known["text"] += piece
        known |= {key: choice[key] for key in ("finish_reason", "stop_reason") if choice.get(key) is not None}
        if piece:
            self.begun = True
            self._tell(at, piece)

    def completion(self) -> Completion:
        """Return the whole answer.

        Raises:
            ValueError: it is not whole, or not of this protocol.
        """
        return Completion.read(json.dumps({"choices": list(self._choices.values()), "usage": self._usage}).encode())
