from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pilothouse.tasks.arithmetic import (
    Expression,
    Number,
    Operation,
    decimal_places,
    exact,
    number_text,
    parse,
    plain_number,
    text,
    value,
)
from pilothouse.tasks.reduction import links, place_values

decimals_ = st.builds(lambda n, k: Number(Fraction(n, 10**k)), st.integers(0, 9999), st.integers(0, 2))
trees: st.SearchStrategy[Expression] = st.recursive(
    decimals_, lambda inner: st.builds(Operation, st.sampled_from("+-*/"), inner, inner), max_leaves=6
)


@pytest.mark.parametrize(
    ("written", "result"),
    [
        ("16-3-4", Fraction(9)),
        ("2+3*4", Fraction(14)),
        ("(2+3)*4", Fraction(20)),
        ("8/4/2", Fraction(1)),
        ("71+-3", Fraction(68)),
        ("-14+-8+1", Fraction(-21)),
        ("3*+6", Fraction(18)),
        (".05*60", Fraction(3)),
        ("2-(3-4)", Fraction(3)),
        ("-(2+3)*2", Fraction(-10)),
        ("7.5*(1+(1/3))", Fraction(10)),
    ],
)
def test_parser_follows_precedence_and_signs(written: str, result: Fraction):
    assert value(parse(written)) == result


@pytest.mark.parametrize(
    "written", ["", "2+", "(2", "2)", "2 3", "1..2", "2x3", "*2", "()", "=", "2(3)", "(" * 99 + "1" + ")" * 99]
)
def test_parser_refuses_what_is_no_expression(written: str):
    with pytest.raises(ValueError):  # noqa: PT011 - the messages differ, the kind does not
        parse(written)
    assert exact(written) is None


def test_division_by_zero_has_no_value():
    assert exact("1/(2-2)") is None


@given(trees)
def test_text_parses_back_to_the_same_tree(tree: Expression):
    assert parse(text(tree)) == tree


@given(st.integers(-(10**9), 10**9), st.integers(0, 6))
def test_number_text_is_exact(digits: int, places: int):
    number = Fraction(digits, 10**places)
    assert plain_number(number_text(number)) == number


def test_number_text_golden():
    assert number_text(Fraction(3, 2)) == "1.5"
    assert number_text(Fraction(100)) == "100"
    assert number_text(Fraction(-1, 20)) == "-0.05"
    assert number_text(Fraction(2, 3), 2) == "0.67"
    assert number_text(Fraction(-1, 3), 0) == "0"
    assert decimal_places(Fraction(1, 3)) is None
    with pytest.raises(ValueError, match="no finite decimal"):
        number_text(Fraction(1, 3))


def test_place_values_golden():
    assert place_values(Fraction("405.05")) == [400, 5, Fraction(1, 20)]
    assert place_values(Fraction(0)) == []


def chain(written: str, *, expand: bool) -> str:
    return "=".join(text(link) for link in links(parse(written), expand=expand))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("16-3-4", "13-4=9"),
        ("2+3*4", "2+12=14"),
        ("(2+3)*4", "5*4=20"),
        ("2*3+(4+5)", "2*3+9=6+9=15"),
        ("(2/3)*105", "2*105/3=210/3=70"),
        ("60/(2/3)", "60*3/2=180/2=90"),
        ("(1/4)*80", "80/4=20"),
        ("1/2+1/4", "0.5+0.25=0.75"),
        ("1/3+2/3", "(1+2/3*3)/3=(1+2*3/3)/3=(1+6/3)/3=(1+2)/3=3/3=1"),
        ("37*24", "888"),
    ],
)
def test_reduction_golden(written: str, expected: str):
    assert chain(written, expand=False) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("37*24", "37*20+37*4=740+148=888"),
        ("15*495", "15*400+15*90+15*5=6000+1350+75=7350+75=7425"),
        ("3+37*24", "3+(37*20+37*4)=3+(740+148)=3+888=891"),
        ("252/7", "210/7+42/7=30+6=36"),
        ("850/50", "85/5=17"),
        (".75/.25", "75/25=3"),
        ("354+287", "500+130+11=630+11=641"),
        ("232-189", "232-100-80-9=132-80-9=52-9=43"),
        ("7*8", "56"),
        ("500+360", "860"),
    ],
)
def test_expansion_golden(written: str, expected: str):
    assert chain(written, expand=True) == expected


@given(trees, st.booleans())
def test_every_link_keeps_the_value_and_ends_in_a_number(tree: Expression, expand: bool):
    try:
        target = value(tree)
    except ZeroDivisionError:
        return
    try:
        found = [tree, *links(tree, expand=expand, limit=200)]
    except ValueError:
        return  # longer than the limit: no chain, rather than a wrong one
    assert all(value(link) == target for link in found)
    assert found[-1] == Number(target)
    for link in found[:-1]:
        assert parse(text(link)) is not None
