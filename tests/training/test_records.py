"""What is recorded of each token: its characters, what trains, how far the trainer is from the sampler."""

from __future__ import annotations

import json

import pytest

from pilothouse.engines.codecs import ByteCodec
from pilothouse.reports.progress import Progress
from pilothouse.reports.runs import RunStore
from pilothouse.training.records import token_widths
from pilothouse.training.run import train


class Words:
    """A tokenizer of words that drops the space of a first token, as SentencePiece's does."""

    words = (" the", " cat", "s", "<eos>")

    def encode(self, text):
        raise NotImplementedError

    def decode(self, tokens):
        return "".join(self.words[token] for token in tokens if token != 3).removeprefix(" ")


def test_each_token_has_its_characters():
    assert token_widths(Words(), (0, 1, 2, 1, 3), "the cats cat", {}) == [3, 4, 1, 4, 0]
    assert token_widths(Words(), (), "", {}) == []


def test_a_character_of_several_tokens_belongs_to_its_last():
    text = "aé😀b"
    widths = token_widths(ByteCodec(), ByteCodec().encode(text), text, {})
    assert widths == [1, 0, 1, 0, 0, 0, 1, 1]


def test_a_text_that_ends_within_a_character_is_still_covered():
    tokens = ByteCodec().encode("aé")[:2]
    assert token_widths(ByteCodec(), tokens, ByteCodec().decode(tokens), {}) == [1, 1]


def test_of_another_text_nothing_is_known():
    assert token_widths(ByteCodec(), ByteCodec().encode("abc"), "ab", {}) == []


@pytest.mark.parametrize("minibatches", [1, 2])
def test_a_run_records_gap_and_widths(nano, tmp_path, minibatches):
    """With one update the gap is noted on its way, with several it is scored beforehand."""
    train(nano(training={"steps": 2, "minibatches": minibatches}), tmp_path / "run", Progress())
    rows = [json.loads(line) for line in (tmp_path / "run" / "rollouts.jsonl").open()]
    assert all(sum(row["widths"]) == len(row["response"]) and len(row["widths"]) == row["length"] for row in rows)
    gaps = [row["gap"] for row in rows if "gap" in row]
    assert gaps
    values = [abs(x) for gap in gaps for x in (gap if isinstance(gap, list) else [gap]) if x is not None]
    assert max(values) < 1e-3, "the same weights sample and train"
    assert RunStore.open(tmp_path / "run").metrics()
