"""The path quota: of each problem's distinct responses, a few right ones and a few wrong ones train."""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.base import Select
from pilothouse.credit.imitation import right


class PathQuota(Select):
    """Keeps at most so many right and so many wrong responses of each group, each text once.

    A search leaves many more responses than should train, most of them alike: AlphaMath (Chen et al. 2024, arXiv
    2405.03553) keeps four of each kind. Which ones is decided by a hash of their tokens, so that neither their length
    nor the order in which a search found them counts. Rewards of what is left out still count in statistics.

    Args:
        right: right responses kept of a group.
        wrong: wrong responses kept of a group.
    """

    name: ClassVar[str] = "path-quota"
    right: Annotated[int, Field(ge=0)] = 4
    wrong: Annotated[int, Field(ge=0)] = 4

    def __call__(self, rollouts: Rollouts) -> Rollouts:
        """Take what is beyond the quotas out of ``train_mask``."""
        good, kept = right(rollouts), torch.zeros(len(rollouts), dtype=torch.bool)
        seen: set[tuple[int, bytes]] = set()
        taken: dict[tuple[int, bool], int] = {}
        trained = [row for row, kept_row in enumerate(rollouts.train_mask.any(dim=1)) if kept_row]
        marks = {row: _marks(rollouts, row) for row in trained}
        for row in sorted(trained, key=lambda row: marks[row]):
            group, is_right = int(rollouts.groups[row]), bool(good[row])
            done = taken.get((group, is_right), 0)
            if (group, marks[row][0]) in seen or done == (self.right if is_right else self.wrong):
                continue
            seen.add((group, marks[row][0]))
            taken[group, is_right] = done + 1
            kept[row] = True
        return rollouts.replace(train_mask=rollouts.train_mask & kept[:, None])


def _marks(rollouts: Rollouts, row: int) -> tuple[bytes, bytes]:
    """Return a hash of a response's tokens, and one of all else that tells it from its twins."""
    size = int(rollouts.lengths[row])
    others = (rollouts.train_mask[row, :size], rollouts.segment_values[row, :size], rollouts.rewards[row])
    return _digest(rollouts.tokens[row, :size]), _digest(*others)


def _digest(*parts: Tensor) -> bytes:
    return hashlib.blake2b(b"".join(part.numpy().tobytes() for part in parts), digest_size=16).digest()
