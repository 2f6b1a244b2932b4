"""The order in which problems are attempted: a function of the seed and a cursor, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from pilothouse.core.errors import DataError
from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree


@dataclass
class PromptOrder:
    """Endless shuffled passes over the problems.

    Args:
        problems: the training problems.
        seeds: the run's "data" node; pass e is shuffled by its child e.
        cursor: problems drawn so far; saved in the checkpoint.

    Raises:
        DataError: there is no problem.
    """

    problems: Sequence[Problem]
    seeds: SeedTree
    cursor: int = 0

    def __post_init__(self) -> None:
        """Refuse an empty task."""
        if not self.problems:
            raise DataError("the task has no training problems; check --data and the task's settings")

    def draw(self, count: int) -> list[Problem]:
        """Return the next ``count`` problems and move the cursor past them."""
        chosen = [self.at(position) for position in range(self.cursor, self.cursor + count)]
        self.cursor += count
        return chosen

    def at(self, position: int) -> Problem:
        """Return the problem at a position of the endless order; the cursor stays where it is."""
        epoch, offset = divmod(position, len(self.problems))
        return self.problems[_shuffled(self.seeds / epoch, len(self.problems))[offset]]


@lru_cache(maxsize=4)
def _shuffled(seeds: SeedTree, size: int) -> list[int]:
    return seeds.numpy().permutation(size).tolist()
