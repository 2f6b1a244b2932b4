"""Codecs for policies whose tokenizer is not at hand."""

from __future__ import annotations

from pilothouse.core.errors import EngineError
from pilothouse.core.requests import Tokens


class ByteCodec:
    """Text as its UTF-8 bytes: ids 0 to 255, for scripted engines and remote servers without a tokenizer."""

    def encode(self, text: str) -> Tokens:
        """Return the bytes of ``text``; a lone surrogate becomes "?"."""
        return tuple(text.encode(errors="replace"))

    def decode(self, tokens: Tokens) -> str:
        """Return the text of ``tokens``; bytes that are not UTF-8 become U+FFFD.

        Raises:
            EngineError: a token lies outside 0 to 255.
        """
        try:
            return bytes(tokens).decode(errors="replace")
        except ValueError:
            raise EngineError("these token ids are not bytes; give the engine the codec that made them") from None
