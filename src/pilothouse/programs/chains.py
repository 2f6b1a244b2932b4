"""A chain of thought as tokens cut at the borders of its sentences."""

from __future__ import annotations

from dataclasses import dataclass

from pilothouse.core.requests import Codec, Continuation, Tokens
from pilothouse.core.sentences import Sentences


@dataclass(frozen=True)
class Stem:
    """Tokens after a prompt that continuations start from.

    Args:
        tokens: [T] token ids.
        logprobs: [T] the sampler's log-probability of each; NaN where the policy did not choose it.
        chosen: [T] whether the policy chose it, given this prompt.
    """

    tokens: Tokens = ()
    logprobs: tuple[float, ...] = ()
    chosen: tuple[bool, ...] = ()

    @staticmethod
    def written(tokens: Tokens) -> Stem:
        """Return tokens that somebody else wrote."""
        return Stem(tokens, (float("nan"),) * len(tokens), (False,) * len(tokens))

    @staticmethod
    def sampled(sample: Continuation) -> Stem:
        """Return tokens that the policy chose."""
        count = len(sample.tokens)
        return Stem(sample.tokens, sample.logprobs or (float("nan"),) * count, (True,) * count)

    def __add__(self, other: Stem) -> Stem:
        """Return both, one after the other."""
        return Stem(self.tokens + other.tokens, self.logprobs + other.logprobs, self.chosen + other.chosen)

    def cut(self, count: int) -> Stem:
        """Return the first ``count`` tokens."""
        return Stem(self.tokens[:count], self.logprobs[:count], self.chosen[:count])


@dataclass(frozen=True)
class Chain:
    """A response read as sentences; sentence i ends after ``ends[i - 1]`` tokens.

    Args:
        stem: its tokens.
        sentences: its n sentences.
        ends: [n] tokens up to the end of each sentence, white space after it included where tokens allow.
    """

    stem: Stem
    sentences: tuple[str, ...]
    ends: tuple[int, ...]

    @staticmethod
    def read(stem: Stem, how: Sentences, codec: Codec) -> Chain:
        """Cut tokens into sentences; a token across a border belongs to the sentence before."""
        text = codec.decode(stem.tokens)
        spans = how.spans(text)
        said = tuple(text[start:stop].strip() for start, stop in spans)
        ends = [_tokens_up_to(stem.tokens, len(text[:stop].rstrip()), stop, codec) for _, stop in spans]
        if ends:
            ends[-1] = len(stem.tokens)
        return Chain(stem, said, tuple(ends))

    def first(self, kept: int) -> Stem:
        """Return the tokens of the first ``kept`` sentences, or of as many as there are."""
        kept = min(kept, len(self.ends))
        return self.stem.cut(self.ends[kept - 1]) if kept else Stem()

    def sentence(self, index: int) -> str:
        """Return a sentence, counted from 1; empty if there is none."""
        return self.sentences[index - 1] if index <= len(self.sentences) else ""

    @property
    def points(self) -> range:
        """Numbers of sentences that may be kept: all but the last sentence, which ends the response."""
        return range(max(1, len(self.sentences)))


def _tokens_up_to(tokens: Tokens, visible: int, stop: int, codec: Codec) -> int:
    """Return how many tokens hold ``visible`` characters, and white space up to ``stop`` if whole tokens do."""
    low, high = 0, len(tokens)
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if len(codec.decode(tokens[:middle])) < visible else (low, middle)
    while low < len(tokens) and len(codec.decode(tokens[: low + 1])) <= stop:
        low += 1
    return low
