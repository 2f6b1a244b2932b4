from __future__ import annotations

from pilothouse.engines.stops import CHECK, CONTINUE, EOS, STOP, StopRules

PIECES = ["", "", "a", "b", " ", "xa", "\n", "ab"]


class PieceCodec:
    """Counts how often it decodes."""

    def __init__(self) -> None:
        self.calls = 0

    def encode(self, text: str) -> tuple[int, ...]:
        return tuple(PIECES.index(character) for character in text)

    def decode(self, tokens: tuple[int, ...]) -> str:
        self.calls += 1
        return "".join(PIECES[token] for token in tokens)


def test_the_table_says_what_each_token_does() -> None:
    rules = StopRules(PieceCodec(), frozenset({1, 99}), len(PIECES))
    plain, both = rules.rule((), ()), rules.rule(("ba", "\n"), (1, 3))
    assert rules.table[plain].tolist() == [CONTINUE, EOS, *[CONTINUE] * 6]
    # "a" ends "ba", so every piece with an "a" in it is looked at; end-of-sequence goes before a stop token.
    assert rules.table[both].tolist() == [CONTINUE, EOS, CHECK, STOP, CONTINUE, CHECK, CHECK, CHECK]
    assert rules.rule(("ba", "\n"), (1, 3)) == both
    assert len(rules.table) == 2


def test_text_is_decoded_only_for_stop_strings() -> None:
    codec = PieceCodec()
    StopRules(codec, frozenset(), len(PIECES)).rule((), (3,))
    assert codec.calls == 0


def test_a_stop_string_may_span_tokens_and_end_inside_one() -> None:
    rules = StopRules(PieceCodec(), frozenset(), len(PIECES))
    rule = rules.rule(("bxa", "\n"), ())
    assert rules.completed(rule, (2, 3, 5))
    assert rules.completed(rule, (6,))
    assert not rules.completed(rule, (2, 3, 2))
    inside = rules.rule(("a",), ())
    assert rules.completed(inside, (7,))
