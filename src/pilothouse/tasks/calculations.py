"""Generates calculations with the forms, operators and ranges of those that GSM8K marks."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from pilothouse.tasks.arithmetic import apply, decimal_places, number_text

_LARGEST = 1_000_000


def generate(rng: np.random.Generator) -> tuple[str, str]:
    """Return one calculation and its result, such as ("16-3-4", "9").

    Shares follow GSM8K: about 85 % one operation, 12 % two; a tenth have decimals; results are positive, come out
    with at most two decimals, and stay below a million.

    Args:
        rng: source of randomness.
    """
    while True:
        expression, result = _FORMS[int(rng.choice(len(_FORMS), p=_SHARES))](rng)
        places = decimal_places(result)
        if places is not None and places <= 2 and 0 <= result < _LARGEST:
            return expression, number_text(result)


def _operand(rng: np.random.Generator) -> Fraction:
    """Return a number as they occur: small, two digits, round, or an amount of money."""
    kind = rng.choice(5, p=[0.4, 0.24, 0.27, 0.02, 0.07])
    if kind == 0:
        return Fraction(int(rng.integers(2, 13)))
    if kind == 1:
        return Fraction(int(rng.integers(10, 100)))
    if kind == 2:
        return Fraction(int(rng.integers(1, 25)) * 10 ** int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])))
    if kind == 3:
        return Fraction(int(rng.integers(100, 1000)))
    return Fraction(int(rng.integers(1, 200)), int(rng.choice([2, 4, 5, 10, 20])))


def _sum(rng: np.random.Generator) -> tuple[str, Fraction]:
    terms = [_operand(rng) for _ in range(int(rng.choice([2, 3, 4, 5], p=[0.72, 0.2, 0.06, 0.02])))]
    return "+".join(number_text(term) for term in terms), sum(terms, Fraction(0))


def _difference(rng: np.random.Generator) -> tuple[str, Fraction]:
    large, small = sorted((_operand(rng), _operand(rng)), reverse=True)
    if rng.random() < 0.15:
        third = _operand(rng)
        return f"{number_text(large + third)}-{number_text(small)}-{number_text(third)}", large - small
    return f"{number_text(large)}-{number_text(small)}", large - small


def _product(rng: np.random.Generator) -> tuple[str, Fraction]:
    factors = [_operand(rng) for _ in range(int(rng.choice([2, 3], p=[0.93, 0.07])))]
    result = Fraction(1)
    for factor in factors:
        result *= factor
    return "*".join(number_text(factor) for factor in factors), result


def _quotient(rng: np.random.Generator) -> tuple[str, Fraction]:
    divisor, quotient = _operand(rng), _operand(rng)
    return f"{number_text(divisor * quotient)}/{number_text(divisor)}", quotient


def _share(rng: np.random.Generator) -> tuple[str, Fraction]:
    """Return a fraction or percentage of a number: (2/3)*105, 40/100*40."""
    below = int(rng.choice([2, 3, 4, 5, 8, 10, 100], p=[0.2, 0.15, 0.15, 0.1, 0.05, 0.05, 0.3]))
    above = int(rng.integers(1, 20)) * 5 if below == 100 else int(rng.integers(1, below))
    whole = Fraction(int(rng.integers(1, 100)) * (10 if below == 100 else below))
    form = rng.choice(["({a}/{b})*{w}", "{w}*({a}/{b})", "{a}/{b}*{w}", "{w}*{a}/{b}"])
    return form.format(a=above, b=below, w=number_text(whole)), whole * above / below


def _mixed(rng: np.random.Generator) -> tuple[str, Fraction]:
    """Return a product plus or minus a number, on either side, or a bracketed sum times or over a number."""
    a, b, c = (Fraction(int(number)) for number in rng.integers(2, 30, size=3))
    operator = str(rng.choice(["+", "-"]))
    form = int(rng.integers(4))
    if form == 0:
        return f"{a}*{b}{operator}{c}", apply(operator, a * b, c)
    if form == 1:
        return f"{a * b}{operator}{b}*{c}", apply(operator, a * b, b * c)
    if form == 2:
        return f"({a}*{b}){operator}{c}", apply(operator, a * b, c)
    return f"({a * c}{operator}{b * c})/{c}", apply(operator, a, b)


_FORMS = (_sum, _difference, _product, _quotient, _share, _mixed)
_SHARES = (0.27, 0.14, 0.33, 0.14, 0.08, 0.04)
