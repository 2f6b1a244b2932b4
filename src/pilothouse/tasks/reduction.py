"""Worked solutions of expressions: chains of equal expressions that end in a number, a small step at a time.

Steps are chosen so that a character model of about a million parameters can learn each of them: one operation by the
usual precedence, with multi-digit operations spread over their decimal places first.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import reduce
from typing import Literal, TypeAlias

from pilothouse.tasks.arithmetic import (
    Expression,
    Number,
    Operation,
    apply,
    decimal_places,
    needs_parentheses,
)

Steps: TypeAlias = Literal["direct", "reduce", "expand"]
Path: TypeAlias = tuple[bool, ...]  # from the root: False is left, True is right
_MOST_PLACES = 4  # a decimal longer than this is kept as a quotient until the end


def links(tree: Expression, *, expand: bool, limit: int = 64) -> list[Expression]:
    """Return the expressions that follow ``tree``, each equal to it, one reduction at a time, down to a number.

    A division that does not come out whole waits: ``(2/3)*105`` becomes ``2*105/3``. The last entry is a number, which
    may have no finite decimal.

    Args:
        tree: where to start.
        expand: whether multi-digit operations are first spread over decimal places (37*24 = 37*20+37*4).
        limit: most links.

    Raises:
        ValueError: more than ``limit`` links would be needed.
        ZeroDivisionError: something is divided by zero.
    """
    found: list[Expression] = []
    while isinstance(tree, Operation):
        path, node = _next(tree)
        found += [_put(tree, path, part) for part in _rewrite(node, expand=expand)]
        tree = found[-1]
        if len(found) > limit:
            raise ValueError(f"the expression needs more than {limit} steps")
    return found


def _next(tree: Operation) -> tuple[Path, Operation]:
    """Return where the next step happens: innermost parentheses, then * and /, then + and -, leftmost first."""
    return min(_ready(tree, (), 0), key=lambda found: (-found[2], found[1].operator in "+-"))[:2]


def _ready(tree: Expression, path: Path, depth: int) -> Iterator[tuple[Path, Operation, int]]:
    if isinstance(tree, Number):
        return
    for right, child in ((False, tree.left), (True, tree.right)):
        if not _settled(child):
            yield from _ready(child, (*path, right), depth + needs_parentheses(tree, child, right=right))
    if _settled(tree.left) and _settled(tree.right):
        yield path, tree, depth


def _settled(tree: Expression) -> bool:
    """Return whether an operand is a number, or a quotient that is not whole and so waits for its neighbour."""
    if isinstance(tree, Number):
        return True
    whole = isinstance(tree.left, Number) and isinstance(tree.right, Number) and tree.operator == "/"
    return whole and apply("/", tree.left.value, tree.right.value).denominator != 1  # type: ignore[union-attr]


def _put(tree: Expression, path: Path, part: Expression) -> Expression:
    if not path or isinstance(tree, Number):
        return part
    if path[0]:
        return Operation(tree.operator, tree.left, _put(tree.right, path[1:], part))
    return Operation(tree.operator, _put(tree.left, path[1:], part), tree.right)


def _rewrite(node: Operation, *, expand: bool) -> list[Expression]:
    """Return what an operation turns into, one entry a link."""
    left, right = node.left, node.right
    if isinstance(left, Number) and isinstance(right, Number):
        spread = _spread(node.operator, left.value, right.value) if expand else []
        return spread or [Number(apply(node.operator, left.value, right.value))]
    return [_with_quotient(node.operator, left, right)]


def _with_quotient(operator: str, left: Expression, right: Expression) -> Expression:
    """Return an operation on a quotient that is not whole, rewritten so that its division comes later."""
    if operator in "+-":
        return _sum_with_quotient(operator, left, right)
    if isinstance(left, Operation):
        if operator == "*":
            return Operation("/", _times(left.left, right), left.right)
        return Operation("/", left.left, _times(left.right, right))
    assert isinstance(right, Operation)
    if operator == "*":
        return Operation("/", _times(left, right.left), right.right)
    return Operation("/", _times(left, right.right), right.left)


def _sum_with_quotient(operator: str, left: Expression, right: Expression) -> Expression:
    short = [_shortened(operand) for operand in (left, right)]
    if short != [left, right]:
        return Operation(operator, *short)
    if isinstance(left, Operation):
        return Operation("/", Operation(operator, left.left, _times(right, left.right)), left.right)
    assert isinstance(right, Operation)
    return Operation("/", Operation(operator, _times(left, right.right), right.left), right.right)


def _shortened(tree: Expression) -> Expression:
    """Return a quotient as a decimal if a short one writes it exactly."""
    if isinstance(tree, Number):
        return tree
    number = apply(tree.operator, tree.left.value, tree.right.value)  # type: ignore[union-attr]
    places = decimal_places(number)
    return tree if places is None or places > _MOST_PLACES else Number(number)


def _times(left: Expression, right: Expression) -> Expression:
    one = Number(Fraction(1))
    if left == one or right == one:
        return right if left == one else left
    return Operation("*", left, right)


def _spread(operator: str, left: Fraction, right: Fraction) -> list[Expression]:
    """Return the links that spread a hard operation over decimal places; none if it is easy enough as it is."""
    if left < 0 or right < 0 or decimal_places(left) is None or decimal_places(right) is None:
        return []
    if operator == "*":
        return _spread_product(left, right)
    if operator == "/":
        return _spread_quotient(left, right)
    return _spread_sum(left, right) if operator == "+" else _spread_difference(left, right)


def place_values(number: Fraction) -> list[Fraction]:
    """Return what each non-zero digit of a finite decimal stands for: 40.5 -> [40, 0.5]."""
    shown = decimal_places(number)
    if shown is None:
        raise ValueError(f"{number} has no finite decimal")
    digits = str(abs(number.numerator) * 10**shown // number.denominator)
    top = len(digits) - 1 - shown
    return [int(digit) * Fraction(10) ** (top - i) for i, digit in enumerate(digits) if digit != "0"]


def _place(value: Fraction) -> Fraction:
    """Return the power of ten of a number with one non-zero digit."""
    place = Fraction(1)
    while value >= 10 * place:
        place *= 10
    while value < place:
        place /= 10
    return place


def _chain(operator: str, terms: list[Expression]) -> Expression:
    return reduce(lambda total, term: Operation(operator, total, term), terms)


def _spread_product(left: Fraction, right: Fraction) -> list[Expression]:
    """37*24 = 37*20+37*4 = 740+148: the factor with more digits is spread, so that easy products remain."""
    fore, back = place_values(left), place_values(right)
    if min(len(fore), len(back)) < 1 or max(len(fore), len(back)) < 2 or len(fore) + len(back) < 4:
        return []
    pairs = [(part, right) for part in fore] if len(fore) > len(back) else [(left, part) for part in back]
    products: list[Expression] = [Operation("*", Number(a), Number(b)) for a, b in pairs]
    return [_chain("+", products), _chain("+", [Number(a * b) for a, b in pairs])]


def _spread_quotient(left: Fraction, right: Fraction) -> list[Expression]:
    """850/50 = 85/5, 150/1.5 = 1500/15, and 252/7 = 210/7+42/7 = 30+6."""
    if not left or not right:
        return []
    scale = Fraction(1)
    while (right * scale).denominator != 1:
        scale *= 10
    while (left * scale / 10).denominator == 1 and (right * scale / 10).denominator == 1:
        scale /= 10
    if scale != 1 and right * scale != 1:
        return [Operation("/", Number(left * scale), Number(right * scale))]
    quotient = left / right
    places = decimal_places(quotient)
    if places is None or places > _MOST_PLACES:
        return []
    parts = place_values(quotient)
    if len(parts) < 2 or len(place_values(left)) + len(place_values(right)) < 4:
        return []
    quotients: list[Expression] = [Operation("/", Number(part * right), Number(right)) for part in parts]
    return [_chain("+", quotients), _chain("+", [Number(part) for part in parts])]


def _spread_sum(left: Fraction, right: Fraction) -> list[Expression]:
    """354+287 = 500+130+11: place by place, once at least three places meet."""
    totals: dict[Fraction, Fraction] = {}
    for part in (*place_values(left), *place_values(right)):
        totals[_place(part)] = totals.get(_place(part), Fraction(0)) + part
    if len(place_values(left)) + len(place_values(right)) - len(totals) < 3:
        return []
    return [_chain("+", [Number(totals[place]) for place in sorted(totals, reverse=True)])]


def _spread_difference(left: Fraction, right: Fraction) -> list[Expression]:
    """232-189 = 232-100-80-9: place by place, once at least three digits are taken away."""
    parts = place_values(right)
    if len(parts) < 3 or right > left:
        return []
    return [_chain("-", [Number(left), *(Number(part) for part in parts)])]
