"""What the responses of a tree have in common, and what that is worth: tokens saved, information lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from pilothouse.programs.paths import Path

ROOT = ""  #: label of the prompt


def label_of(ids: Sequence[int]) -> str:
    """Return the label of a node: the branch ids from the root to it, as in "1.0.2"."""
    return ".".join(map(str, ids))


def is_consistent(paths: Sequence[Path]) -> bool:
    """Return whether equal node labels always mean equal tokens, and a node's label continues its parent's."""
    known: dict[str, tuple[int, ...]] = {}
    for path in paths:
        labels = [ROOT, *(step.label for step in path.steps)]
        if any(not child.startswith(f"{parent}." if parent else "") for parent, child in pairwise(labels)):
            return False
        if any(
            known.setdefault(step.label, path.tokens[: step.stop]) != path.tokens[: step.stop] for step in path.steps
        ):
            return False
    return True


def shared_tokens(one: Path, other: Path) -> int:
    """Return the length of the beginning that two paths grew from, in tokens."""
    count = 0
    for mine, theirs in zip(one.steps, other.steps, strict=False):
        if mine.label != theirs.label:
            break
        count = mine.stop
    return count


def effective_size(paths: Sequence[Path]) -> float:
    """Return how many independent responses a tree's responses are worth, ``n^2 / sum_ij s_ij``.

    s_ij is the share of their tokens that two responses have in common, ``shared / sqrt(T_i T_j)``. This is the design
    effect (Kish 1965) if rewards are as alike as the texts; it is n for independent responses and 1 for n copies.

    Args:
        paths: the finished responses.
    """
    alike = 0.0
    for i, one in enumerate(paths):
        for j, other in enumerate(paths):
            size = (len(one.tokens) * len(other.tokens)) ** 0.5
            alike += 1.0 if i == j else shared_tokens(one, other) / size if size else 0.0
    return len(paths) ** 2 / alike if paths else 0.0


def accounting(
    paths: Sequence[Path], reasons: Sequence[str], *, decoded: int, segments: int, forks: Mapping[int, int], cuts: int
) -> dict[str, Any]:
    """Return the record of what a tree cost and gave, for JSON.

    Args:
        paths: the finished responses.
        reasons: why each ended.
        decoded: tokens sampled, a shared segment once.
        segments: segments sampled.
        forks: by number of children, how often a path had so many.
        cuts: responses that were grown from a cut of a finished one, or from the prompt again.
    """
    return {
        "trajectories": len(paths),
        "decoded": decoded,
        "in_trajectories": sum(len(path.tokens) for path in paths),
        "segments": segments,
        "fallbacks": cuts,
        "branches": {str(count): times for count, times in sorted(forks.items())},
        "ends": dict(sorted(Counter(reasons).items())),
        "effective_size": round(effective_size(paths), 3),
    }
