"""The protocol of offline learners: estimators that fit logged transitions and then act."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor, nn

from pilothouse.control.offline_data import Frame, OfflineData
from pilothouse.control.saving import DAMAGE, read_settings, read_state, save_state
from pilothouse.control.transitions import Replay, Transitions
from pilothouse.core.errors import ConfigError, DivergedError, RunError
from pilothouse.core.parts import LISTED, Catalogue, Part
from pilothouse.core.seeds import SeedTree

NetworkT = TypeVar("NetworkT", bound=nn.Module)


class Learner(Part):
    """An offline learner. Subclasses say which networks it has and how one batch changes them.

    Args:
        hidden: widths of the hidden layers of every network.
        learning_rate: Adam's, for every network.
        batch: transitions in a batch.
        discount: weight of the next step.
        polyak: how far slow copies of networks move towards them at an update.
        standardise: whether networks see observations with mean 0 and standard deviation 1.
    """

    catalogue: ClassVar[Catalogue] = Catalogue("learner", "pilothouse.control")

    hidden: Annotated[tuple[int, ...], LISTED] = (256, 256)
    learning_rate: Annotated[float, Field(gt=0)] = 3e-4
    batch: Annotated[int, Field(ge=1)] = 256
    discount: Annotated[float, Field(ge=0, le=1)] = 0.99
    polyak: Annotated[float, Field(gt=0, le=1)] = 0.005
    standardise: bool = True

    _frame: Frame = PrivateAttr(default_factory=lambda: Frame.blank(0, 0))
    _networks: dict[str, nn.Module] = PrivateAttr(default_factory=dict[str, nn.Module])
    _optimizers: dict[str, torch.optim.Optimizer] = PrivateAttr(default_factory=dict[str, torch.optim.Optimizer])
    _pairs: tuple[list[Tensor], list[Tensor]] = PrivateAttr(default=([], []))
    _draws: torch.Generator = PrivateAttr(default_factory=torch.Generator)
    _losses: dict[str, float] = PrivateAttr(default_factory=dict[str, float])
    _step: int = PrivateAttr(default=0)

    def networks(self, states: int, actions: int, generator: torch.Generator) -> dict[str, nn.Module]:
        """Return fresh networks by name, one of them ``actor``."""
        raise NotImplementedError

    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Return which networks take their steps together: one optimiser a group."""
        raise NotImplementedError

    def targets(self) -> tuple[str, ...]:
        """Return the networks that have a slow copy, called ``target_`` and their name."""
        return ()

    def learn(self, state: Tensor, following: Tensor, batch: Transitions, step: int, draws: torch.Generator) -> None:
        """Change the networks by one batch.

        Args:
            state: [N, D] observations as the networks see them.
            following: [N, D] the next ones.
            batch: the transitions.
            step: batches before this one.
            draws: every draw comes from it.
        """
        raise NotImplementedError

    @property
    def step(self) -> int:
        """Batches learnt from."""
        return self._step

    @property
    def observation_dim(self) -> int:
        """Width D of an observation."""
        return self._frame.states

    @property
    def action_dim(self) -> int:
        """Width A of an action."""
        return self._frame.width

    def weights(self) -> dict[str, Tensor]:
        """Return the weights of all networks by name."""
        return {f"{name}.{key}": w for name, net in self._networks.items() for key, w in net.state_dict().items()}

    def begin(self, frame: Frame, seeds: SeedTree) -> Self:
        """Start anew with fresh networks.

        Args:
            frame: how it sees the task.
            seeds: node of its weights and draws.
        """
        self._build(frame, (seeds / "weights").torch())
        self._draws = (seeds / "draws").torch()
        return self

    def update(self, replay: Replay) -> dict[str, float]:
        """Draw one batch, learn from it, and return the losses by network, of those that took a step."""
        return self.step_on(replay.draw(self.batch, self._draws))

    def step_on(self, batch: Transitions) -> dict[str, float]:
        """Learn from a batch and return the losses by network, of those that took a step."""
        self._losses = {}
        self.learn(self.seen(batch.state), self.seen(batch.following), batch, self._step, self._draws)
        self._step += 1
        return self._losses

    def fit(
        self,
        data: OfflineData,
        steps: int = 10_000,
        seeds: SeedTree | None = None,
        replay: Replay | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Self:
        """Learn from the beginning.

        Args:
            data: what was recorded; its statistics normalise what the networks see.
            steps: batches to learn from.
            seeds: node of every draw.
            replay: what batches come from, if not from ``data`` alone.
            progress: called with the steps done and all steps.
        """
        self.begin(data.frame, seeds or SeedTree(0))
        for done in range(steps):
            self.update(data.transitions if replay is None else replay)
            progress(done + 1, steps)
        return self

    @torch.no_grad()
    def act(self, observations: Tensor) -> Tensor:
        """Return the best known action in each state, [N, A] in the task's units.

        Args:
            observations: [N, D] in the task's units.

        Raises:
            ConfigError: the learner has not learnt, or observations are of another width than those it learnt from.
        """
        return self._frame.actions.undo(self.mean(torch.as_tensor(observations, dtype=torch.float32)))

    def mean(self, observations: Tensor) -> Tensor:
        """Return the best known action in each state, [N, A], with the limits at -1 and 1; has gradients.

        Raises:
            ConfigError: the learner has not learnt, or observations are of another width than those it learnt from.
        """
        if not self._networks:
            raise ConfigError(f"learner '{self.name}' has learnt nothing yet: call fit(data) or load(folder) first")
        if observations.shape[-1] != self._frame.states:
            raise ConfigError(
                f"learner '{self.name}' learnt from observations of {self._frame.states} numbers, not "
                f"{observations.shape[-1]}: use it on the task that it was trained for"
            )
        actor: Any = self._networks["actor"]
        return actor.mean(self.seen(observations))

    def part(self, name: str, kind: type[NetworkT]) -> NetworkT:
        """Return a network by name."""
        network = self._networks[name]
        assert isinstance(network, kind)
        return network

    def descend(self, **losses: Tensor) -> None:
        """Take one step of Adam on the weights of a group of networks, each down its own loss.

        Args:
            losses: by network; a network's loss reaches no other network's weights.

        Raises:
            DivergedError: a loss is not finite.
        """
        for name, loss in losses.items():
            self._losses[name] = value = float(loss.detach())
            if not math.isfinite(value):
                raise DivergedError(
                    f"the loss of the {name} is {value} at step {self._step}: lower learning_rate, or check the rewards"
                )
        optimizer = self._optimizers[" ".join(losses)]
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimizer.step()

    def follow(self) -> None:
        """Move the slow copies towards their networks."""
        torch._foreach_lerp_(*self._pairs, self.polyak)  # pyright: ignore[reportPrivateImportUsage]

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning goes on from: networks, optimisers, draws, steps."""
        if not self._networks:
            return {}
        return {
            "frame": self._frame.state_dict(),
            "networks": {name: network.state_dict() for name, network in self._networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self._optimizers.items()},
            "draws": self._draws.get_state(),
            "step": self._step,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned."""
        if not state:
            return
        frame = Frame.blank(*(len(state["frame"][f"{kind}.shift"]) for kind in ("observations", "actions")))
        frame.load_state_dict(state["frame"])
        self._build(frame, torch.Generator())
        for name, network in self._networks.items():
            network.load_state_dict(state["networks"][name])
        for name, optimizer in self._optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])
        self._draws = torch.Generator()
        self._draws.set_state(state["draws"])
        self._step = int(state["step"])

    def save(self, folder: Path) -> None:
        """Write settings and state.

        Raises:
            RunError: the folder cannot be written.
        """
        save_state(folder, self.model_dump(mode="json"), self.state_dict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the learner that ``save`` wrote, ready to act and to go on.

        Raises:
            RunError: a file is missing or damaged.
        """
        try:
            learner = cls.build(read_settings(folder))
            learner.load_state_dict(read_state(folder))
        except DAMAGE as error:
            raise RunError(f"cannot read the learner in {folder}: {error}; train it again or name another") from error
        return learner

    def seen(self, observations: Tensor) -> Tensor:
        """Return observations [N, D] as the networks see them."""
        return self._frame.observations(observations) if self.standardise else observations

    def _build(self, frame: Frame, weights: torch.Generator) -> None:
        self._frame, self._step, self._losses, self._optimizers = frame, 0, {}, {}
        learnt = self.networks(frame.states, frame.width, weights)
        for group in self.groups():
            weights_of = [weight for name in group for weight in learnt[name].parameters()]
            self._optimizers[" ".join(group)] = torch.optim.Adam(weights_of, lr=self.learning_rate, fused=True)
        slow = self.networks(frame.states, frame.width, torch.Generator())
        copies = {f"target_{name}": slow[name].requires_grad_(False) for name in self.targets()}
        self._networks = {**learnt, **copies}
        pairs = [
            (copy.data, weight.data)
            for name in self.targets()
            for copy, weight in zip(slow[name].parameters(), learnt[name].parameters(), strict=True)
        ]
        self._pairs = [copy for copy, _ in pairs], [weight for _, weight in pairs]
        for copy, weight in pairs:
            copy.copy_(weight)
