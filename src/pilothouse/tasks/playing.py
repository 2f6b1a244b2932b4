"""Episodes of a control task, all side by side, under whatever acts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from pilothouse.core.errors import PilothouseError
from pilothouse.tasks.demonstrations import Trajectory

if TYPE_CHECKING:
    from pilothouse.tasks.control import Environment

#: What acts: from observations [N, D] and which slots' episodes go on [N] to actions [N, A].
Act: TypeAlias = Callable[[Tensor, Tensor], Tensor]


class NotFiniteError(PilothouseError):
    """A policy acted with numbers that are not finite.

    Args:
        slot: in which episode.
        step: at which of its steps, counted from 1.
        trajectory: the episode as far as it went, with that action as its last.
    """

    def __init__(self, slot: int, step: int, trajectory: Trajectory) -> None:
        super().__init__(
            f"the action in episode {slot}, step {step} is not finite: the policy's weights or the observation are "
            "broken; use an earlier checkpoint, or train again with a lower learning rate"
        )
        self.slot, self.step, self.trajectory = slot, step, trajectory


def play(world: Environment, act: Act, bounds: tuple[Tensor, Tensor]) -> list[Trajectory]:
    """Return one episode of each slot.

    Args:
        world: where; all its slots begin anew.
        act: what acts.
        bounds: smallest and largest action, [A] each; actions beyond are cut off there.

    Raises:
        NotFiniteError: an action is not finite.
    """
    seen, done, earned = [world.reset()], list[Tensor](), list[Tensor]()
    lengths, live = torch.zeros(world.n, dtype=torch.long), torch.ones(world.n, dtype=torch.bool)
    terminated, success = torch.zeros(world.n, dtype=torch.bool), torch.full((world.n,), float("nan"))
    while live.any():
        actions = act(seen[-1], live)
        bad = live & ~actions.isfinite().all(dim=1)
        if bad.any():
            slot = int(bad.nonzero()[0, 0])
            ended = [*seen, seen[-1]], [*done, actions], [*earned, torch.zeros(world.n)]
            raise NotFiniteError(slot, len(seen), _episode(*ended, slot, len(seen)))
        actions = torch.where(live[:, None], actions, torch.zeros_like(actions)).maximum(bounds[0]).minimum(bounds[1])
        moment = world.step(actions)
        seen.append(moment.observations)
        done.append(actions)
        earned.append(moment.rewards)
        lengths += live
        success = torch.where(live, moment.success, success)
        terminated |= live & moment.terminated
        live = live & ~moment.done
    return [
        _episode(seen, done, earned, i, length, bool(terminated[i]), float(success[i]))
        for i, length in enumerate(lengths.tolist())
    ]


def _episode(
    seen: Sequence[Tensor],
    done: Sequence[Tensor],
    earned: Sequence[Tensor],
    slot: int,
    length: int,
    terminated: bool = False,
    success: float = float("nan"),
) -> Trajectory:
    def column(rows: Sequence[Tensor], count: int) -> Tensor:
        return torch.stack([row[slot] for row in rows[:count]])

    return Trajectory(column(seen, length + 1), column(done, length), column(earned, length), terminated, success)
