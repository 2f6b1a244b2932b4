"""The colours of tokens: each way to look at a response, what it shows of a token, and its legend."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pilothouse.dashboard.words import plain
from pilothouse.reports.rollout_tokens import Token

Shades = Callable[[float, float], str]


@dataclass(frozen=True)
class Painted:
    """A token with its colour.

    Args:
        token: the token.
        shade: a class of the style sheet.
        said: everything known of it, in words.
    """

    token: Token
    shade: str
    said: str


@dataclass(frozen=True)
class Mode:
    """A way to look at a response.

    Args:
        name: in the address.
        title: what to call it.
        note: what it shows, in a sentence.
        value: its figure of a token.
        shade: the class for a figure, given the largest size of any.
    """

    name: str
    title: str
    note: str
    value: Callable[[Token], float]
    shade: Shades

    def largest(self, tokens: Sequence[Token]) -> float:
        """Return the largest size among the tokens; 0 if nothing is known."""
        return max((abs(v) for token in tokens if math.isfinite(v := self.value(token))), default=0.0)

    def legend(self, tokens: Sequence[Token]) -> list[tuple[str, str]]:
        """Return class and meaning of each colour."""
        if self.name == "mask":
            return [("m1", "trains"), ("m0", "chosen by the policy, trains nothing"), ("mx", "not the policy's own")]
        if self.name == "logprob":
            return [(f"s{i}", said) for i, said in enumerate(_SURPRISE)]
        top = self.largest(tokens)
        if not top:
            return [("z", "0")]
        edges = [(-4, -top), (-2, -top / 2), (0, 0.0), (2, top / 2), (4, top)]
        return [(_diverging(level / 4, 1.0), f"{value:+.3g}" if value else "0") for level, value in edges]


_SURPRISE = ("over 90 % likely", "over 60 %", "over 30 %", "over 10 %", "over 1 %", "under 1 %")
_CHANCES = (0.9, 0.6, 0.3, 0.1, 0.01)


def _diverging(value: float, top: float) -> str:
    if not math.isfinite(value):
        return "u"
    level = math.ceil(4 * min(1.0, abs(value) / top)) if top and value else 0
    return "z" if not level else f"{'p' if value > 0 else 'n'}{level}"


def _surprise(value: float, _: float) -> str:
    if not math.isfinite(value):
        return "u"
    chance = math.exp(min(0.0, value))
    return f"s{next((i for i, edge in enumerate(_CHANCES) if chance > edge), len(_CHANCES))}"


def _mask(value: float, _: float) -> str:
    return {2.0: "m1", 1.0: "m0"}.get(value, "mx")


MODES = {
    mode.name: mode
    for mode in (
        Mode("advantage", "Advantage", "the weight of each token in the loss", lambda t: t.credit, _diverging),
        Mode(
            "gap",
            "Log-prob gap",
            "the trainer's log-probability less the sampler's, before the update, in nats",
            lambda t: t.gap,
            _diverging,
        ),
        Mode("logprob", "Log-probability", "how likely the sampler found each token", lambda t: t.logprob, _surprise),
        Mode(
            "mask", "Mask", "what the policy chose, and what of it trains", lambda t: 1.0 * t.chosen + t.trains, _mask
        ),
    )
}


def painted(tokens: Sequence[Token], mode: Mode) -> list[Painted]:
    """Return tokens with the colours of a mode."""
    top = mode.largest(tokens)
    return [Painted(token, mode.shade(mode.value(token), top), _said(token)) for token in tokens]


def _said(token: Token) -> str:
    shown = repr(token.text) if token.text else f"token {token.ident}"
    figures = [("advantage", token.credit), ("log-prob", token.logprob), ("gap", token.gap)]
    parts = [f"{name} {plain(value)}" for name, value in figures if math.isfinite(value)]
    mask = "trains" if token.trains else "trains nothing" if token.chosen else "not chosen by the policy"
    return f"#{token.index + 1} {shown}: {', '.join([*parts, mask])}"
