"""TD3+BC: twin delayed critics, and an actor that climbs them while staying near the data's actions."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from pilothouse.control.learner import Learner
from pilothouse.control.offline_losses import behaviour_regularised, bootstrapped, twin_error
from pilothouse.control.transitions import Transitions
from pilothouse.policies.actors import DeterministicActor
from pilothouse.policies.stacked import StackedMLP


class TD3BC(Learner):
    """TD3+BC.

    Args:
        alpha: weight of the value against imitation.
        noise: standard deviation of the noise on the target's action.
        noise_clip: largest such noise.
        delay: critic updates for each update of the actor and the targets.

    Source: arXiv 2106.06860.
    """

    name: ClassVar[str] = "td3-bc"
    alpha: Annotated[float, Field(ge=0)] = 2.5
    noise: Annotated[float, Field(ge=0)] = 0.2
    noise_clip: Annotated[float, Field(ge=0)] = 0.5
    delay: Annotated[int, Field(ge=1)] = 2

    def networks(self, states: int, actions: int, generator: torch.Generator) -> dict[str, nn.Module]:
        """Return an actor and twin critics."""
        return {
            "actor": DeterministicActor(states, actions, self.hidden, generator),
            "critic": StackedMLP((states + actions, *self.hidden, 1), 2, generator),
        }

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """The actor climbs the critic as it is after its step."""
        return (("critic",), ("actor",))

    def targets(self) -> tuple[str, ...]:
        """Both networks have a slow copy."""
        return ("actor", "critic")

    def learn(self, state: Tensor, following: Tensor, batch: Transitions, step: int, draws: torch.Generator) -> None:
        """Update the critics; every ``delay`` steps the actor and the slow copies too."""
        slow = self.part("target_critic", StackedMLP)
        critic = self.part("critic", StackedMLP)
        with torch.no_grad():
            noise = torch.randn(batch.action.shape, generator=draws).mul_(self.noise)
            noise.clamp_(-self.noise_clip, self.noise_clip)
            action = self.part("target_actor", DeterministicActor).mean(following).add_(noise).clamp_(-1, 1)
            value = slow(torch.cat([following, action], 1)).amin(0)[:, 0]
            target = bootstrapped(batch.reward, batch.done, value, self.discount)
        loss = twin_error(critic(torch.cat([state, batch.action], 1))[:, :, 0], target)
        self.descend(critic=loss)
        if (step + 1) % self.delay == 0:
            action = self.part("actor", DeterministicActor).mean(state)
            value = critic.frozen(torch.cat([state, action], 1), slice(0, 1))[0, :, 0]
            self.descend(actor=behaviour_regularised(value, action, batch.action, self.alpha))
            self.follow()
