"""Arithmetic expressions in exact numbers: parse, value, and text. Nothing here ever calls ``eval``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

CHARACTERS = "0123456789+-*/()."  #: every character of an expression
_TOKEN = re.compile(r"\d+\.?\d*|\.\d+|[-+*/()]")
_PLAIN = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)")
_NESTING = 40  # deeper expressions come from a policy gone astray, and would exhaust the stack


@dataclass(frozen=True)
class Number:
    """A number.

    Args:
        value: its exact value.
    """

    value: Fraction


@dataclass(frozen=True)
class Operation:
    """Two expressions joined by an operator.

    Args:
        operator: one of + - * /.
        left: the left operand.
        right: the right operand.
    """

    operator: str
    left: Expression
    right: Expression


Expression: TypeAlias = Number | Operation


def parse(text: str) -> Expression:
    """Return the tree of an expression of numbers, + - * /, signs and parentheses.

    Raises:
        ValueError: the text is no such expression.
    """
    tokens = _TOKEN.findall(text)
    if not tokens or "".join(tokens) != text:
        raise ValueError(f"{text!r} holds something that is not part of an expression")
    reader = _Reader(tokens)
    tree = reader.sum(0)
    if reader.peek():
        raise ValueError(f"{text!r} goes on after a whole expression, at {reader.peek()!r}")
    return tree


class _Reader:
    """Recursive descent: a sum of products of signed atoms."""

    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.at = tokens, 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def sum(self, depth: int) -> Expression:
        left = self.product(depth)
        while self.peek() in ("+", "-"):
            left = Operation(self.take(), left, self.product(depth))
        return left

    def product(self, depth: int) -> Expression:
        left = self.atom(depth)
        while self.peek() in ("*", "/"):
            left = Operation(self.take(), left, self.atom(depth))
        return left

    def atom(self, depth: int) -> Expression:
        if depth > _NESTING:
            raise ValueError(f"the expression nests more than {_NESTING} deep")
        token = self.take()
        if token in ("+", "-"):
            inner = self.atom(depth + 1)
            if token == "+":
                return inner
            return Number(-inner.value) if isinstance(inner, Number) else Operation("-", Number(Fraction(0)), inner)
        if token == "(":
            inner = self.sum(depth + 1)
            if self.take() != ")":
                raise ValueError("a parenthesis is never closed")
            return inner
        if token[:1].isdigit() or token[:1] == ".":
            return Number(Fraction(token))
        raise ValueError(f"a number was expected, not {token!r}")


def apply(operator: str, left: Fraction, right: Fraction) -> Fraction:
    """Return the exact result of one operation.

    Raises:
        ZeroDivisionError: division by zero.
    """
    if operator == "+":
        return left + right
    if operator == "-":
        return left - right
    return left * right if operator == "*" else left / right


def value(tree: Expression) -> Fraction:
    """Return the exact value of an expression.

    Raises:
        ZeroDivisionError: something is divided by zero.
    """
    if isinstance(tree, Number):
        return tree.value
    return apply(tree.operator, value(tree.left), value(tree.right))


def exact(text: str) -> Fraction | None:
    """Return the exact value of an expression's text, or ``None`` if it has none."""
    try:
        return value(parse(text))
    except (ValueError, ZeroDivisionError):
        return None


def plain_number(text: str) -> Fraction | None:
    """Return the value of a single written number, or ``None`` if the text is anything else."""
    return Fraction(text) if _PLAIN.fullmatch(text) and len(text) <= 100 else None


def decimals(text: str) -> int:
    """Return how many digits a written number shows after its point."""
    return len(text.partition(".")[2])


def decimal_places(number: Fraction) -> int | None:
    """Return the digits after the point that write a number exactly, or ``None`` if no finite count does."""
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def number_text(number: Fraction, places: int | None = None) -> str:
    """Return a number in decimal notation, without needless zeros.

    Args:
        number: the number.
        places: digits after the point to round to (half away from zero); exact if not given.

    Raises:
        ValueError: no finite decimal writes the number, and ``places`` is not given.
    """
    shown = decimal_places(number) if places is None else places
    if shown is None:
        raise ValueError(f"{number} has no finite decimal; say how many places to round it to")
    whole = int(abs(number) * 10**shown + Fraction(1, 2))
    sign = "-" if number < 0 and whole else ""
    digits = str(whole).rjust(shown + 1, "0")
    if not shown:
        return sign + digits
    return sign + f"{digits[:-shown]}.{digits[-shown:]}".rstrip("0").rstrip(".")


def text(tree: Expression) -> str:
    """Return an expression's text with no needless parentheses; every number in it must have a finite decimal."""
    if isinstance(tree, Number):
        return number_text(tree.value)
    left, right = text(tree.left), text(tree.right)
    if needs_parentheses(tree, tree.left, right=False):
        left = f"({left})"
    if needs_parentheses(tree, tree.right, right=True):
        right = f"({right})"
    return f"{left}{tree.operator}{right}"


def needs_parentheses(parent: Operation, child: Expression, *, right: bool) -> bool:
    """Return whether ``child`` must be bracketed as an operand of ``parent`` for the text to parse back."""
    if isinstance(child, Number):
        return False
    if child.operator in "+-":
        return right or parent.operator in "*/"
    return right and parent.operator in "*/"
