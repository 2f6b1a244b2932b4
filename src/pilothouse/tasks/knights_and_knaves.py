"""Knights, who always tell the truth, and knaves, who always lie: who is what must be found out."""

from __future__ import annotations

import re
from itertools import product
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from pilothouse.core.problems import Problem, Score
from pilothouse.tasks.splits import GeneratedTask

_LETTERS = "ABCDEF"
_CLAIM = re.compile(r"([A-Fa-f])(?:([&|=])([A-Fa-f]))?")


class KnightsAndKnaves(GeneratedTask):
    """Puzzles with exactly one solution, in short form: a capital is a knight, a small letter a knave.

    ``A:b B:A&c C:a=b;`` reads: A says that B is a knave; B says that A is a knight and C a knave; C says that "A is a
    knave" and "B is a knave" are both true or both false. The response tries the possibilities in order, names after
    each the first speaker who contradicts it, and ends with the one that nobody contradicts: ``ABC-A ABc-B aBC``.

    Args:
        people: how many there are.
    """

    name: ClassVar[str] = "knights-and-knaves"
    response_limit: ClassVar[int] = 64
    stop: ClassVar[tuple[str, ...]] = ("\n",)
    character_set: ClassVar[str] = "ABCDEFabcdef&|=:;- \n"

    people: Annotated[int, Field(ge=2, le=6)] = 3

    @property
    def limit(self) -> int:
        """Response length limit in tokens: ``max_tokens`` if set, else enough to try every possibility."""
        return self.max_tokens or max(self.response_limit, (self.people + 3) * 2**self.people)

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one puzzle with exactly one solution."""
        while True:
            claims = [self._claim(speaker, rng) for speaker in range(self.people)]
            answers = solutions(claims)
            if len(answers) == 1:
                prompt = " ".join(f"{_LETTERS[i]}:{claim}" for i, claim in enumerate(claims)) + ";"
                return Problem(prompt, prompt, answers[0], f"{_trials(claims)}\n")

    def _claim(self, speaker: int, rng: np.random.Generator) -> str:
        """Return a claim about somebody else, or about two people, either of whom may be the speaker."""
        cases = [_LETTERS, _LETTERS.lower()]
        first = cases[int(rng.integers(2))][(speaker + int(rng.integers(1, self.people))) % self.people]
        link = ["", "&", "|", "="][int(rng.integers(4))]
        if not link:
            return first
        others = [i for i in range(self.people) if _LETTERS[i] != first.upper()]
        second = cases[int(rng.integers(2))][others[int(rng.integers(len(others)))]]
        return link.join(sorted((first, second), key=str.upper))

    def score(self, problem: Problem, response: str) -> Score:
        """Return reward 1 if the last word names everybody's kind rightly; "format" is 1 if it names everybody."""
        given = self.answer_of(response)
        correct, formed = given == problem.answer, given.upper() == problem.answer.upper()
        return Score(float(correct), correct, {"correct": float(correct), "format": float(formed)})

    def answer_of(self, response: str) -> str:
        """Return the last word."""
        return (response.split() or [""])[-1]


def holds(claim: str, world: str) -> bool:
    """Return whether a claim is true in a world such as ``aBC``.

    Raises:
        ValueError: the claim is malformed.
    """
    match = _CLAIM.fullmatch(claim)
    if match is None:
        raise ValueError(f"{claim!r} is not a claim; write it like b, A&c, a|B or a=B")
    first, link, second = match.groups()
    if not link:
        return first in world
    if link == "&":
        return first in world and second in world
    return (first in world) == (second in world) if link == "=" else first in world or second in world


def worlds(people: int) -> list[str]:
    """Return every possibility, from all knights to all knaves."""
    pairs = [(letter, letter.lower()) for letter in _LETTERS[:people]]
    return ["".join(kinds) for kinds in product(*pairs)]


def contradiction(claims: list[str], world: str) -> str:
    """Return the first speaker whose claim does not fit a world, in capitals; empty if all fit."""
    for kind, claim in zip(world, claims, strict=True):
        if holds(claim, world) != kind.isupper():
            return kind.upper()
    return ""


def solutions(claims: list[str]) -> list[str]:
    """Return every world that no speaker contradicts."""
    return [world for world in worlds(len(claims)) if not contradiction(claims, world)]


def _trials(claims: list[str]) -> str:
    words: list[str] = []
    for world in worlds(len(claims)):
        speaker = contradiction(claims, world)
        words.append(f"{world}-{speaker}" if speaker else world)
        if not speaker:
            break
    return " ".join(words)
