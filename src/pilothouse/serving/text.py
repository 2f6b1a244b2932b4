"""Text that grows token by token: whole characters only, and nothing of a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from pilothouse.core.requests import Codec, Tokens

UNFINISHED = "\ufffd"  #: what bytes that are not yet a character decode to
WINDOW = 64  #: tokens decoded at a time; older ones are settled


def cut(text: str, stops: Sequence[str]) -> str:
    """Return the text up to the first stop string in it, which clients do not want to see.

    Args:
        text: a whole answer.
        stops: the strings that end it.
    """
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(found)] if found else text


def held_back(text: str, stops: Sequence[str]) -> int:
    """Return how many characters at the end of ``text`` may be the beginning of a stop string."""
    longest = max(map(len, stops), default=0)
    for size in range(min(len(text), longest - 1), 0, -1):
        if any(stop.startswith(text[-size:]) for stop in stops):
            return size
    return 0


class TextFeed:
    """Turns tokens into pieces of text that never need to be taken back.

    Args:
        codec: tokens to text.
        stops: strings that end the text and are not part of it.
    """

    def __init__(self, codec: Codec, stops: Sequence[str]) -> None:
        self._codec, self._stops = codec, stops
        self._window: Tokens = ()
        self._read = ""  # the settled text of the window
        self._kept = ""  # characters that may begin a stop string
        self._sent = 0
        self.count = 0

    def push(self, tokens: Tokens) -> str:
        """Return the text that has become final with more tokens; perhaps none."""
        self.count += len(tokens)
        self._window += tokens
        whole = self._codec.decode(self._window)
        settled = whole.rstrip(UNFINISHED)
        new = settled[len(self._read) :]
        self._read += new
        if len(self._window) > WINDOW and settled == whole:
            self._window = self._window[-WINDOW // 8 :]  # a few stay: some tokenizers drop the space of a first token
            self._read = self._codec.decode(self._window)
        text = self._kept + new
        if cut(text, self._stops) != text:
            self._kept = text  # the engine ends this answer; the rest is decided by ``close``
            return ""
        size = held_back(text, self._stops)
        self._kept = text[len(text) - size :]
        return self._give(text[: len(text) - size])

    def close(self, text: str) -> str:
        """Return what is missing of the whole text, given without stop strings."""
        return text[self._sent :]

    def _give(self, piece: str) -> str:
        self._sent += len(piece)
        return piece
