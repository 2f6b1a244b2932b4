"""Conversations as text, for engines whose server renders them: programs continue a transcript like any prompt."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pilothouse.core.problems import Message

_START, _END = "\x02", "\x03"  # JSON escapes both, so that neither occurs in between


def pack(messages: Sequence[Message]) -> str:
    """Return a conversation as the text that stands for it."""
    return f"{_START}{json.dumps([dict(message) for message in messages])}{_END}"


def unpack(text: str) -> list[dict[str, Any]] | None:
    """Return the messages of a transcript; what a program wrote after it is the beginning of the assistant's answer.

    Args:
        text: a decoded prefix.

    Returns:
        The messages, or ``None`` if the text is no transcript.
    """
    head, end, answer = text.partition(_END)
    if not (end and head.startswith(_START)):
        return None
    try:
        messages = json.loads(head.removeprefix(_START))
    except ValueError:
        return None
    if not isinstance(messages, list):
        return None
    return [*messages, {"role": "assistant", "content": answer}] if answer else messages
