"""Learning from synthetic transitions that are made anew, now and then, for the policy as it has become."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import torch
from pydantic import Field

from pilothouse.control.guidance import ActionGuidance
from pilothouse.control.heun import HeunSampler
from pilothouse.control.learner import Learner
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.trajectory_diffusion import TrajectoryDiffusion
from pilothouse.control.transitions import Mixed, Replay, Transitions
from pilothouse.core.parts import Settings
from pilothouse.core.seeds import SeedTree

LearnerT = TypeVar("LearnerT", bound=Learner)


class SyntheticSettings(Settings):
    """How much is made, when, and how.

    Args:
        trajectories: made at a time; the paper's 8,192 x 128 transitions are a million.
        length: rows of each, one more than transitions; may exceed the training windows'.
        refresh_every: learner's steps from one lot to the next.
        real_fraction: share of every batch that comes from the recorded data.
        lifetime: lots kept at a time; each new one replaces the oldest.
        rows: trajectories sampled side by side.
        guidance: how actions are pushed towards the learner's actor; a ``coeff`` of 0 never pushes.
        sampler: goes from noise to data.
    """

    trajectories: Annotated[int, Field(ge=1)] = 1024
    length: Annotated[int, Field(ge=2)] = 129
    refresh_every: Annotated[int, Field(ge=1)] = 10_000
    real_fraction: Annotated[float, Field(ge=0, le=1)] = 1 / 16
    lifetime: Annotated[int, Field(ge=1)] = 1
    rows: Annotated[int, Field(ge=1)] = 256
    guidance: ActionGuidance = ActionGuidance()
    sampler: HeunSampler = HeunSampler()


class SyntheticReplay:
    """A replay of mostly synthetic and some recorded transitions.

    The first lots are made without guidance: the actor has not learnt anything yet. Every lot is drawn from a node of
    the seed tree that belongs to the step it is made at, so a resumed run makes the lot it had.

    Args:
        model: makes trajectories.
        real: the recorded transitions.
        settings: how much, when, and how.
        seeds: node of the lots.
    """

    def __init__(
        self, model: TrajectoryDiffusion, real: Transitions, settings: SyntheticSettings, seeds: SeedTree
    ) -> None:
        self.model, self.real, self.settings, self.seeds = model, real, settings, seeds
        self._lots: deque[Transitions] = deque(maxlen=settings.lifetime)
        self._mixed: Replay = real

    @property
    def synthetic(self) -> Transitions:
        """All synthetic transitions of now."""
        return Transitions.cat(list(self._lots))

    def due(self, step: int) -> bool:
        """Return whether a lot is to be made before a step of the learner."""
        return step % self.settings.refresh_every == 0

    def refresh(self, step: int, policy: Any) -> None:
        """Make a lot for the policy as it is before a step; at step 0, as many as are kept, without guidance.

        Args:
            step: the learner's step.
            policy: its actor (see ``TrajectoryDiffusion.sample``).
        """
        for lot in range(self.settings.lifetime if not step else 1):
            self._lots.append(self._make(self.seeds / step / lot, policy if step else None))
        self._mixed = Mixed(self.real, self.synthetic, self.settings.real_fraction)

    def draw(self, size: int, generator: torch.Generator) -> Transitions:
        """Return ``size`` transitions, of which the share ``real_fraction`` was recorded."""
        return self._mixed.draw(size, generator)

    def state_dict(self) -> dict[str, Any]:
        """Return the lots."""
        return {"lots": [lot.rows for lot in self._lots]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        self._lots.clear()
        self._lots.extend(Transitions(rows, self.real.states, self.real.actions) for rows in state["lots"])
        if self._lots:
            self._mixed = Mixed(self.real, self.synthetic, self.settings.real_fraction)

    def _make(self, seeds: SeedTree, policy: Any) -> Transitions:
        settings, parts = self.settings, list[Transitions]()
        for first in range(0, settings.trajectories, settings.rows):
            pieces = self.model.sample(
                min(settings.rows, settings.trajectories - first),
                (seeds / first).torch(),
                policy=policy,
                guidance=settings.guidance,
                length=settings.length,
                sampler=settings.sampler,
            )
            parts.append(pieces.transitions())
        return Transitions.cat(parts)


def train_offline(
    learner: LearnerT,
    data: OfflineData,
    model: TrajectoryDiffusion | None = None,
    synthetic: SyntheticSettings | None = None,
    steps: int = 10_000,
    seeds: SeedTree | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> LearnerT:
    """Fit a learner to recorded data, or to a mix of it with a diffusion model's trajectories.

    Args:
        learner: what is fitted.
        data: what was recorded.
        model: makes trajectories; ``None`` learns from the recorded data alone.
        synthetic: how much is made, when, and how.
        steps: the learner's.
        seeds: node of every draw.
        progress: called with the steps done and all steps.
    """
    seeds = seeds or SeedTree(0)
    learner.begin(data.frame, seeds / "learner")
    made = None
    if model is not None:
        made = SyntheticReplay(model, data.transitions, synthetic or SyntheticSettings(), seeds / "synthetic")
    while learner.step < steps:
        if made is not None and made.due(learner.step):
            made.refresh(learner.step, learner)
        learner.update(data.transitions if made is None else made)
        progress(learner.step, steps)
    return learner
