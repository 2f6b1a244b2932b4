"""IQL: values as expectiles of the data's own actions, and an actor that imitates the better ones more."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pilothouse.control.learner import Learner
from pilothouse.control.offline_losses import advantage_weights, bootstrapped, expectile, twin_error
from pilothouse.control.transitions import Transitions
from pilothouse.policies.actors import GaussianActor
from pilothouse.policies.stacked import StackedMLP


class IQL(Learner):
    """Implicit Q-learning.

    Args:
        tau: expectile of the values.
        beta: inverse temperature of the advantage weights.
        cap: largest advantage weight.

    Source: arXiv 2110.06169.
    """

    name: ClassVar[str] = "iql"
    tau: Annotated[float, Field(gt=0, lt=1)] = 0.7
    beta: Annotated[float, Field(ge=0)] = 3.0
    cap: Annotated[float, Field(gt=0)] = 100.0

    def networks(self, states: int, actions: int, generator: torch.Generator) -> dict[str, nn.Module]:
        """Return an actor, twin critics and a value network."""
        return {
            "actor": GaussianActor(states, actions, self.hidden, generator),
            "critic": StackedMLP((states + actions, *self.hidden, 1), 2, generator),
            "value": StackedMLP((states, *self.hidden, 1), 1, generator),
        }

    def log_prob(self, observations: Tensor, actions: Tensor) -> Tensor:
        """Return the log-density of actions [N, A] within [-1, 1] in states [N, D] in the task's units: [N]."""
        return self.part("actor", GaussianActor).log_prob(self.seen(observations), actions)

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """All three step at once."""
        return (("value", "critic", "actor"),)

    def targets(self) -> tuple[str, ...]:
        """The critics have a slow copy."""
        return ("critic",)

    def learn(self, state: Tensor, following: Tensor, batch: Transitions, step: int, draws: torch.Generator) -> None:
        """Update all three networks with the advantages as they are before the step."""
        taken = torch.cat([state, batch.action], 1)
        value = self.part("value", StackedMLP)
        with torch.no_grad():
            worth = self.part("target_critic", StackedMLP)(taken).amin(0)[:, 0]
            target = bootstrapped(batch.reward, batch.done, value(following)[0, :, 0], self.discount)
        advantage = worth - value(state)[0, :, 0]
        weights = advantage_weights(advantage.detach(), self.beta, self.cap)
        log_prob = self.part("actor", GaussianActor).log_prob(state, batch.action)
        self.descend(
            value=expectile(advantage, self.tau),
            critic=twin_error(self.part("critic", StackedMLP)(taken)[:, :, 0], target),
            actor=-(weights * log_prob).mean(),
        )
        self.follow()
