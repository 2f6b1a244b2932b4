"""Branches of small causal models whose importances are known exactly."""

from collections.abc import Callable

import numpy as np
import pytest

from pilothouse.core.branches import Branch
from pilothouse.core.embedders import Exact, Likeness

PLAN, FILLER, OTHER = "The plan.", "A filler.", "Another."


@pytest.fixture
def exact() -> Likeness:
    return Likeness(embedder=Exact(), threshold=1.0)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def branches() -> Callable[..., list[Branch]]:
    """Makes branches: sentences and how often each outcome followed them."""

    def make(*groups: tuple[tuple[str, ...], int, int], kept: int = 0) -> list[Branch]:
        return [
            Branch.of(kept, said, outcome)
            for said, yes, no in groups
            for outcome, count in (("yes", yes), ("no", no))
            for _ in range(count)
        ]

    return make


@pytest.fixture
def three(branches) -> tuple[list[Branch], list[Branch]]:
    """R_1 and R_2 of three sentences: the plan is said first or, with chance 0.6, once later; it makes a yes 0.9
    likely instead of 0.1. In R_1 every other chain says the plan at once."""
    removed = branches(((PLAN, FILLER, OTHER), 90, 10), ((FILLER, PLAN, OTHER), 54, 6), ((FILLER, OTHER, OTHER), 4, 36))
    return removed, branches(((FILLER, OTHER), 90, 10), kept=1)
