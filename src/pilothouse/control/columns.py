"""The columns of a trajectory that a diffusion model learns: state, action before its tanh, reward, end."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pilothouse.control.transitions import Transitions
from pilothouse.core.columns import ColumnStatistics
from pilothouse.policies.normalizer import Normalizer

SATURATED = 0.999  #: actions are kept within this of 0, where arctanh is still finite


@dataclass(frozen=True)
class Pieces:
    """What N trajectories of T rows say.

    Args:
        states: [N, T, D] in the task's units.
        actions: [N, T, A] within [-1, 1].
        rewards: [N, T].
        done: [N, T] above one half where the episode ended for good.
    """

    states: Float[Tensor, "N T D"]
    actions: Float[Tensor, "N T A"]
    rewards: Float[Tensor, "N T"]
    done: Float[Tensor, "N T"]

    def transitions(self) -> Transitions:
        """Return the T - 1 steps of each trajectory: the next state is the following row's, and the last row goes."""
        width, actions = self.states.shape[2], self.actions.shape[2]
        return Transitions.of(
            self.states[:, :-1].reshape(-1, width),
            self.actions[:, :-1].reshape(-1, actions),
            self.rewards[:, :-1].flatten(),
            self.states[:, 1:].reshape(-1, width),
            (self.done[:, :-1] > 0.5).float().flatten(),
        )


class TrajectoryColumns(nn.Module):
    """Trajectories as rows of numbers with mean 0 and standard deviation 1, and back.

    Args:
        states: width D of a state.
        actions: width A of an action.
        normalizer: of the D + A + 2 columns.
    """

    def __init__(self, states: int, actions: int, normalizer: Normalizer) -> None:
        super().__init__()
        self.states, self.actions, self.normalizer = states, actions, normalizer

    @classmethod
    def of(cls, segments: Float[Tensor, "N T C"], actions: int) -> TrajectoryColumns:
        """Return the columns of raw segments; a constant one is moved to 0 and not stretched.

        Args:
            segments: [N, T, D + A + 2] from ``raw``.
            actions: width A.
        """
        statistics = ColumnStatistics.of(segments.flatten(0, 1))
        return cls(segments.shape[2] - actions - 2, actions, Normalizer.standard(statistics))

    @property
    def width(self) -> int:
        """Columns C = D + A + 2."""
        return self.states + self.actions + 2

    @property
    def action_columns(self) -> slice:
        """Where the actions are."""
        return slice(self.states, self.states + self.actions)

    @staticmethod
    def raw(pieces: Pieces) -> Float[Tensor, "N T C"]:
        """Return rows before normalisation: actions as arctanh of what is clipped to +-0.999."""
        before = pieces.actions.clamp(-SATURATED, SATURATED).atanh()
        return torch.cat([pieces.states, before, pieces.rewards[..., None], pieces.done[..., None]], dim=2)

    def read(self, x: Float[Tensor, "N T C"]) -> Pieces:
        """Return what normalised rows say."""
        rows = self.normalizer.undo(x)
        actions = rows[..., self.action_columns].tanh()
        return Pieces(rows[..., : self.states], actions, rows[..., -2], rows[..., -1])

    def read_states(self, x: Float[Tensor, "N T C"]) -> Float[Tensor, "N T D"]:
        """Return the states of normalised rows."""
        shift, scale = self.normalizer.shift, self.normalizer.scale
        return x[..., : self.states] * scale[: self.states] + shift[: self.states]

    def squashed(self, before: Float[Tensor, "N T A"]) -> Float[Tensor, "N T A"]:
        """Return the actions that normalised action columns mean."""
        columns = self.action_columns
        return (before * self.normalizer.scale[columns] + self.normalizer.shift[columns]).tanh()
