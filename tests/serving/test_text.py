from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.engines.codecs import ByteCodec
from pilothouse.serving.text import TextFeed, cut, held_back

CODEC = ByteCodec()


def feed(data: bytes, sizes: list[int], stops: tuple[str, ...] = ()) -> tuple[list[str], str]:
    """Push bytes in pieces; return the texts, and the rest at the end."""
    text, pieces, at = TextFeed(CODEC, stops), [], 0
    for size in [*sizes, len(data)]:
        if data[at : at + size]:
            pieces.append(text.push(tuple(data[at : at + size])))
        at += size
    assert text.count == len(data)
    return pieces, text.close(cut(CODEC.decode(tuple(data)), stops))


@pytest.mark.parametrize(
    ("text", "stops", "expected"),
    [
        ("abc", (), "abc"),
        ("abc", ("b",), "a"),
        ("abc", ("c", "bc"), "a"),
        ("abc", ("x", "abc"), ""),
        ("", ("x",), ""),
    ],
)
def test_nothing_from_the_first_stop_string_on(text, stops, expected):
    assert cut(text, stops) == expected


@pytest.mark.parametrize(
    ("text", "stops", "size"),
    [("abc", (), 0), ("abc", ("cd",), 1), ("abc", ("bcd",), 2), ("abc", ("bcd", "abcd"), 3), ("abc", ("c",), 0)],
)
def test_the_beginning_of_a_stop_string_is_held_back(text, stops, size):
    assert held_back(text, stops) == size


def test_a_character_of_four_bytes_comes_whole():
    pieces, rest = feed("a😀b".encode(), [1] * 6)
    assert pieces == ["a", "", "", "", "😀", "b"]
    assert rest == ""


def test_bytes_that_are_no_character_are_shown_at_last():
    pieces, rest = feed(b"a\xff", [1, 1])
    assert pieces == ["a", ""]
    assert rest == "\ufffd"
    assert feed(b"a\xffb", [1, 1, 1])[0] == ["a", "", "\ufffdb"]


def test_a_stop_string_over_two_tokens_is_never_seen():
    assert feed(b"one#", [3, 1], ("##",)) == (["one", ""], "#")
    assert feed(b"one##", [4, 1], ("##",)) == (["one", ""], "")
    assert feed(b"one#x", [4, 1], ("##",)) == (["one", "#x"], "")


text_or_bytes = st.one_of(st.text(max_size=200).map(str.encode), st.binary(max_size=200))


@given(text_or_bytes, st.lists(st.integers(1, 7), max_size=200), st.lists(st.text("ab#é", min_size=1, max_size=3)))
def test_the_pieces_are_the_whole_text(data, sizes, stops):
    pieces, rest = feed(data, sizes, tuple(stops))
    assert "".join(pieces) + rest == cut(CODEC.decode(tuple(data)), stops)
