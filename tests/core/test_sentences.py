"""Sentences, embeddings and what counts as alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.core.embedders import Embedder, Exact, Likeness, NGrams
from pilothouse.core.errors import ConfigError, DataError
from pilothouse.core.parts import validated
from pilothouse.core.sentences import Sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A b c d e f. G h i j k l? Ok.", ("A b c d e f.", "G h i j k l? Ok.")),
        ("Ok. A b c d e f. G h i j k l!", ("Ok. A b c d e f.", "G h i j k l!")),
        ("no mark at all here\n\nbut a blank line", ("no mark at all here", "but a blank line")),
        ("one line of text\nanother line of it", ("one line of text\nanother line of it",)),
        ("It is 3.14 exactly, so stop.\nThen go on here.", ("It is 3.14 exactly, so stop.", "Then go on here.")),
        ("short", ("short",)),
        ("", ()),
        ("  \n\n ", ()),
    ],
)
def test_sentences_golden(text, expected):
    assert Sentences().split(text) == expected


def test_a_mark_of_ones_own_ends_sentences():
    steps = Sentences(shortest=1).fitted("\n")
    assert steps.split("4+7=1\n1*3=3\n3-2=1.") == ("4+7=1", "1*3=3", "3-2=1.")
    assert Sentences(mark="\n").split("4+7=1\n1*3=3\n3-2=1") == ("4+7=1", "1*3=3", "3-2=1")
    assert Sentences(mark=". ").split("c. P. a. =no\n") == ("c.", "P.", "a.", "=no")
    assert Sentences(mark="\n").split("1. Take two.\n\nOk. Go. ") == ("1. Take two.", "Ok. Go.")
    assert Sentences(mark=";").fitted("\n").mark == ";"


@given(st.text("ab .?!\n", max_size=60), st.integers(1, 12))
def test_spans_cover_the_text_and_none_is_short(text, shortest):
    spans = Sentences(shortest=shortest).spans(text)
    if not text.strip():
        assert spans == []
        return
    assert "".join(text[a:b] for a, b in spans) == text
    assert len(spans) == 1 or all(len(text[a:b].strip()) >= shortest for a, b in spans)


def test_exact_and_ngram_cosines():
    exact = Likeness(embedder=Exact(), threshold=1.0)
    assert exact.alike("I will ask.", ["i will  ask.", "I will not ask.", "I will ask."]).tolist() == [
        True,
        False,
        True,
    ]
    grams = Likeness()
    cosines = grams.cosines("The plan is to ask.", ["The plan is to ask.", "The plan is to ask!", "Zebras hum 7 tunes"])
    assert cosines[0] == 1
    assert 0.7 < cosines[1] < 1
    assert cosines[2] < 0.1
    # a pair's cosine does not depend on what else is compared
    assert grams.cosines("The plan is to ask.", ["The plan is to ask!"])[0] == pytest.approx(cosines[1])
    assert NGrams()(["a"]).any()
    assert Likeness().cosines("x", []).shape == (0,)


def test_thresholds_beyond_the_cosine_say_nothing_or_everything():
    others = ["same text here", "another one"]
    assert not Likeness(threshold=1.01).alike("same text here", others).any()
    assert Likeness(threshold=-1.0).alike("same text here", others).all()
    assert Likeness(threshold=1.0).alike("same text here", others).tolist() == [True, False]


class Broken(Embedder):
    name = "tests:Broken"

    def __call__(self, texts):
        return np.zeros((len(texts), 2))


def test_what_cannot_be_embedded_is_refused():
    with pytest.raises(DataError, match="an empty sentence has no meaning to compare"):
        Likeness().cosines("a sentence", ["", "b"])
    with pytest.raises(DataError, match="must return one finite row other than zero for each"):
        Likeness(embedder=Broken()).cosines("a", ["b"])
    with pytest.raises(ConfigError, match="unknown embedder 'exac'; did you mean 'exact'"):
        validated(Likeness, {"embedder": "exac"}, "likeness")
