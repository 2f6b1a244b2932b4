"""Speak or stay silent: a window of a user's events, and what an offer or silence would cost."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from pilothouse.core.gates import threshold
from pilothouse.core.problems import Problem, Score
from pilothouse.tasks.proactive_data import Judged, read_judged
from pilothouse.tasks.splits import GeneratedTask, fraction_of

LOOP, SEARCH, QUIET, RARE = "ex", "s", "d", "b"  #: edit and error; a search; do not disturb; a browse
_LETTERS, _CHANCES = "erxsdb", (0.32, 0.26, 0.24, 0.08, 0.05, 0.05)
_SCHEMA = re.compile(r"need=(\d) accept=(\d)")

Chances = tuple[float, float]


class ProactiveStream(GeneratedTask):
    """A window of events (``rexexsrbexex:``), to be answered with an offer or with silence.

    A user who edits into one error after the other needs help, the more the longer the loop at the window's end lasts;
    one who searched takes an offer more gladly, one who asked not to be disturbed hardly. A response is silence where
    it is empty or "silent", an offer otherwise; ``need=7 accept=4`` states both chances in tenths instead, and the
    gate of the task's costs decides. The reward is minus the cost. Right is what the true chances say, in tenths.

    With ``data``, problems are the judged rows of ProactiveBench instead; right is then what cost nothing.

    Args:
        data: ProactiveBench's reward data, a JSONL file; by default events are generated.
        window: events in a window.
        c_fa: cost of an offer that is not accepted.
        c_fn: cost of silence where an offer was needed and would have been accepted.

    Source: PRISM, arXiv 2602.01532; ProactiveBench, arXiv 2410.12361.
    """

    name: ClassVar[str] = "proactive-stream"
    response_limit: ClassVar[int] = 24
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    character_set: ClassVar[str] = " \n0123456789:=abcdefilnoprstx"

    window: Annotated[int, Field(ge=4)] = 12
    c_fa: Annotated[float, Field(gt=0)] = 1.0
    c_fn: Annotated[float, Field(gt=0)] = 3.0

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one window with labels of its own."""
        events = "".join(rng.choice(list(_LETTERS), size=self.window, p=_CHANCES))
        if rng.random() < 0.5:
            loop = LOOP * int(rng.integers(1, self.window // 4 + 2))
            events = (events + loop)[-self.window :]
        need, acc = true_chances(events)
        labels = {"y_need": int(rng.random() < need), "y_acc": int(rng.random() < acc)}
        prompt = f"{events}:"
        facts = {"p_need": need, "p_acc": acc, **labels}
        return Problem(prompt, prompt, self.answer_of(stated(need, acc)), stated(need, acc), facts)

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return generated windows, or the judged rows of a file, split by trace."""
        if not self.data:
            return super().build_splits()
        splits: dict[str, list[Problem]] = {"train": [], "test": []}
        for at, row in enumerate(read_judged(self.data)):
            # Rows of one trace share most of their events: a trace is of one split.
            splits["test" if fraction_of(row.trace) < 0.2 else "train"].append(_problem(row, at))
        return splits

    def score(self, problem: Problem, response: str) -> Score:
        """Return minus the cost of what a response decides; parts tell of offers, alarms and misses."""
        speaks = self.answer_of(response) == "speak"
        need, acc = problem.info["y_need"], problem.info["y_acc"]
        alarm, miss = speaks and not acc, not speaks and bool(need and acc)
        cost = self.c_fa * alarm + self.c_fn * miss
        correct = problem.answer == ("speak" if speaks else "silent") if problem.answer else not cost
        parts = {"offer": float(speaks), "alarm": float(alarm), "miss": float(miss)}
        return Score(0.0 - cost, correct, parts)

    def answer_of(self, response: str) -> Literal["speak", "silent"]:
        """Return what a response decides."""
        if stating := _SCHEMA.search(response):
            need, acc = ((int(digit) + 0.5) / 10 for digit in stating.groups())
            return "speak" if acc >= threshold(need, self.c_fa, self.c_fn) else "silent"
        return "silent" if response.strip() in ("", "silent") else "speak"


def true_chances(events: str) -> Chances:
    """Return the chances of need and of acceptance after a window of generated events."""
    loop = (len(events) - len(re.sub(f"({LOOP})+$", "", events))) // len(LOOP)
    need = -2.5 + 1.5 * loop
    acc = -0.5 + 0.6 * loop + 1.5 * (SEARCH in events) - 3.0 * (QUIET in events)
    return _sigmoid(need), _sigmoid(acc)


def stated(need: float, acc: float) -> str:
    """Return two chances as the schema states them, in tenths, on a line."""
    return f"need={tenth(need)} accept={tenth(acc)}\n"


def tenth(p: float) -> int:
    """Return the digit d of a chance, which stands for (d + 0.5) / 10."""
    return min(9, int(10 * p))


def _sigmoid(logit: float) -> float:
    return float(1 / (1 + np.exp(-logit)))


def _problem(row: Judged, at: int) -> Problem:
    offer = row.offer or ""
    prompt = f"{row.events}\nPossible offer: {offer}\nOffer it, or stay silent?\n"
    facts: dict[str, Any] = {"y_need": int(row.need), "y_acc": int(row.accepted or 0), "trace": row.trace}
    return Problem(f"row-{at}", prompt, info=facts)
