"""What tasks that hold all their problems in memory share: both splits built once, and disjoint by their prompts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

import numpy as np
from pydantic import Field, PrivateAttr

from pilothouse.core.errors import ConfigError, nearest
from pilothouse.core.problems import Problem
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.base import Task

DrawnT = TypeVar("DrawnT")


class SplitTask(Task):
    """A task whose splits are built together, once for each state of its settings."""

    _built: tuple[str, dict[str, list[Problem]]] = PrivateAttr(default=("", {}))

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return the problems of "train" and "test"; they share no prompt."""
        raise NotImplementedError

    def problems(self, split: str) -> Sequence[Problem]:
        """Return the problems of a split.

        Raises:
            ConfigError: there is no such split, or the settings leave no problems.
            DataError: the data cannot be read.
        """
        settings = self.model_dump_json()
        if self._built[0] != settings:
            self._built = (settings, self.build_splits())
        splits = self._built[1]
        if split not in splits:
            raise ConfigError(f"task '{self.name}' has no split '{split}'{nearest(split, splits)}")
        return splits[split]


class GeneratedTask(SplitTask):
    """A task whose problems are drawn from a seeded generator; the hash of a prompt decides its split.

    Args:
        train_size: distinct problems to draw for training.
        test_size: the same for the test split.
        seed: the generator's seed.
    """

    train_size: Annotated[int, Field(ge=1)] = 4000
    test_size: Annotated[int, Field(ge=1)] = 500
    seed: int = 0

    def draw(self, rng: np.random.Generator) -> Problem:
        """Return one problem; its id is its prompt.

        Args:
            rng: source of randomness.
        """
        raise NotImplementedError

    def build_splits(self) -> dict[str, list[Problem]]:
        """Return distinct problems in both splits.

        Raises:
            ConfigError: the settings do not allow that many distinct problems.
        """
        rng = (SeedTree(self.seed) / self.name).numpy()

        def draw() -> tuple[str, Problem]:
            problem = self.draw(rng)
            return problem.id, problem

        found = draw_apart(draw, self.train_size, self.test_size)
        if len(found["train"]) == self.train_size and len(found["test"]) == self.test_size:
            return {name: list(problems.values()) for name, problems in found.items()}
        sizes = " and ".join(f"{name}_size to {len(problems)}" for name, problems in found.items())
        raise ConfigError(f"task '{self.name}' finds too few distinct problems with these settings; lower {sizes}")


def draw_apart(draw: Callable[[], tuple[str, DrawnT]], train_size: int, test_size: int) -> dict[str, dict[str, DrawnT]]:
    """Return distinct draws for both splits, by key; fewer than asked for when new ones become rare.

    Args:
        draw: returns a key and what was drawn; the key's hash decides the split.
        train_size: draws wanted for training.
        test_size: draws wanted for the test split.
    """
    wanted = {"train": train_size, "test": test_size}
    found: dict[str, dict[str, DrawnT]] = {"train": {}, "test": {}}
    for _ in range(20 * (train_size + test_size) + 1000):
        key, drawn = draw()
        split = "test" if fraction_of(key) < test_size / (train_size + test_size) else "train"
        if len(found[split]) < wanted[split]:
            found[split].setdefault(key, drawn)
        elif all(len(found[name]) == size for name, size in wanted.items()):
            break
    return found


def fraction_of(text: str) -> float:
    """Return a number in [0, 1) that depends on the text alone: what is below a share goes to that share's split."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=7).digest(), "big") / 2**56
