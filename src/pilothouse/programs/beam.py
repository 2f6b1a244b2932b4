"""Beam search and DVTS over steps: the deterministic searches that trust a process reward greedily."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pilothouse.core.budgets import divided
from pilothouse.core.problems import Posed
from pilothouse.core.requests import Tokens
from pilothouse.programs.base import Steps
from pilothouse.programs.choose import best, vote
from pilothouse.programs.paths import Path
from pilothouse.programs.step_search import Board, StepSearch
from pilothouse.programs.trace import Trace


class BeamSearch(StepSearch):
    """Keep the n / m partial answers of the highest score and expand each m times (Snell et al. 2024, 2408.03314).

    The first step is sampled n times. A finished answer keeps its place among the kept while its score does.

    Args:
        n: partial answers sampled at each step.
        m: expansions of each kept one; divides n.
        distinct: keep one of several partial answers with the same text.
        select: the answer is the finished one of the highest score, or the first with the answer of the greatest sum.
    """

    name: ClassVar[str] = "beam"
    n: Annotated[int, Field(ge=1)] = 8
    m: Annotated[int, Field(ge=1)] = 4
    distinct: bool = False
    select: Literal["argmax", "vote"] = "argmax"

    @model_validator(mode="after")
    def _divides(self) -> Self:
        divided(self.n, self.m, self._what())
        return self

    def _what(self) -> str:
        return f"{self.name} with m = {self.m} expansions of each kept answer"

    def sized(self, samples: int) -> Self:
        """Return the search that samples ``samples`` partial answers at each step.

        Raises:
            ConfigError: the budget does not divide by m.
        """
        divided(samples, self.m, self._what())
        return self.model_copy(update={"n": samples})

    @property
    def trees(self) -> int:
        """Independent searches that the budget is divided among."""
        return 1

    def __call__(self, posed: Posed) -> Steps:
        """Search until all kept answers have ended; the episodes are all answers that ended, kept or not."""
        board = Board(posed, Trace(self.name))
        finished: dict[int, Path] = {}
        width = self.n // self.trees
        beams: list[list[Path]] = [[Path()] * width for _ in range(self.trees)]
        while True:
            frontier = [path for beam in beams for path in beam]
            names = [f"beam {at}" for at in range(len(frontier))]
            grown = yield from self.extend(board, [(path, board.seed()) for path in frontier], names)
            if not board.trace.rounds:
                self.refuse_nothing(board, grown)
            finished |= {path.node: path for path in grown if not path.alive}
            kept, at = list[list[Path]](), 0
            for beam in beams:
                kept.append(self._best(grown[at : at + len(beam)], width // self.m))
                at += len(beam)
            self._record(board, grown, kept)
            if not any(path.alive for beam in kept for path in beam):
                break
            beams = [[copy for path in beam for copy in [path] * (self.m if path.alive else 1)] for beam in kept]
        ends = [path for beam in kept for path in beam]
        chosen = ends[self._pick(posed, ends)]
        paths = list(finished.values())
        return self.conclude(board, paths, list(finished).index(chosen.node))

    def _best(self, paths: Sequence[Path], keep: int) -> list[Path]:
        """Return the paths of the highest scores, ties to the earliest."""
        ranked = sorted(paths, key=self.score_of, reverse=True)
        if self.distinct:
            first: dict[Tokens, Path] = {}
            for path in ranked:
                first.setdefault(path.tokens, path)
            ranked = list(first.values())
        return ranked[:keep]

    def _pick(self, posed: Posed, ends: Sequence[Path]) -> int:
        scores = [self.score_of(path) for path in ends]
        if self.select == "argmax":
            return best(scores)
        return vote([posed.answer_of(posed.codec.decode(path.tokens)) for path in ends], scores)

    def _record(self, board: Board, grown: Sequence[Path], kept: Sequence[Sequence[Path]]) -> None:
        nodes = [path.node for beam in kept for path in beam]
        first = {board.trace.root_of(node) for node in nodes}
        board.trace.rounds.append(
            {
                "step": len(board.trace.rounds) + 1,
                "candidates": [path.node for path in grown],
                "scores": [self.score_of(path) for path in grown],
                "kept": nodes,
                "first_steps": len(first),
            }
        )


class DVTS(BeamSearch):
    """Diverse verifier tree search: n / m independent subtrees, each keeping its best of m (Beeching et al. 2024).

    Args:
        n: partial answers sampled at each step, over all subtrees.
        m: expansions of each subtree's kept answer; divides n.
    """

    name: ClassVar[str] = "dvts"

    @property
    def trees(self) -> int:
        """One for each of the n / m subtrees."""
        return self.n // self.m
