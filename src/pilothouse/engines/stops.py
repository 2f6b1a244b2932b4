"""When a continuation ends: end-of-sequence ids, stop tokens and stop strings, looked up for a whole batch at once."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pilothouse.core.requests import Codec, Tokens

CONTINUE, EOS, STOP, CHECK = range(4)  #: what a token does to its row; CHECK: it may complete a stop string


class StopRules:
    """A table [rules, V] of what each token does under each combination of stop strings and stop tokens in use.

    Text is decoded only for tokens that contain the last character of a stop string, and then only a tail of the
    row that is long enough to hold the string.

    Args:
        codec: the policy's codec.
        eos_ids: ids that end any continuation.
        vocabulary: number of token ids.
    """

    def __init__(self, codec: Codec, eos_ids: frozenset[int], vocabulary: int) -> None:
        self.codec = codec
        self.eos = [token for token in eos_ids if token < vocabulary]
        self.vocabulary = vocabulary
        self.table: NDArray[np.uint8] = np.zeros((0, vocabulary), dtype=np.uint8)
        self._rules: dict[tuple[tuple[str, ...], tuple[int, ...]], int] = {}
        self._strings: list[tuple[str, ...]] = []

    @cached_property
    def _pieces(self) -> list[str]:
        # Twice, because some tokenizers drop the space of a leading token; a token that is part of a character
        # decodes to the replacement character.
        return [self.codec.decode((token, token)) for token in range(self.vocabulary)]

    def rule(self, strings: tuple[str, ...], tokens: tuple[int, ...]) -> int:
        """Return the row of the table for a request.

        Args:
            strings: the request's stop strings, none empty.
            tokens: the request's stop tokens.
        """
        key = (strings, tokens)
        if key not in self._rules:
            row = np.zeros(self.vocabulary, dtype=np.uint8)
            if strings:
                last = {string[-1] for string in strings} | {"\ufffd"}
                row[[token for token, piece in enumerate(self._pieces) if not last.isdisjoint(piece)]] = CHECK
            row[list(tokens)] = STOP
            row[self.eos] = EOS
            self.table = np.concatenate([self.table, row[None]])
            self._rules[key] = len(self._strings)
            self._strings.append(strings)
        return self._rules[key]

    def completed(self, rule: int, tokens: Tokens) -> bool:
        """Return whether the sampled tokens end with one that completed a stop string.

        Args:
            rule: the request's row of the table.
            tokens: all sampled tokens so far.
        """
        strings = self._strings[rule]
        tail = 4 * max(map(len, strings)) + 4  # a character takes at most four byte tokens
        text = self.codec.decode(tokens[-tail:])
        return any(string in text for string in strings)
