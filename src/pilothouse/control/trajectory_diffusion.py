"""A diffusion model of whole windows of logged trajectories: states, actions, rewards and ends, denoised together."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Self

import torch
from pydantic import Field, PrivateAttr
from torch import Tensor, nn

from pilothouse.control.columns import Pieces, TrajectoryColumns
from pilothouse.control.edm import denoised, edm_loss
from pilothouse.control.guidance import ActionGuidance
from pilothouse.control.heun import HeunSampler
from pilothouse.control.offline_data import OfflineData
from pilothouse.control.saving import DAMAGE, read_settings, read_state, save_state
from pilothouse.control.segments import segment_dataset
from pilothouse.core.errors import ConfigError, DivergedError, RunError
from pilothouse.core.parts import SLOT, Settings
from pilothouse.core.seeds import SeedTree
from pilothouse.policies.ema import EMA
from pilothouse.policies.normalizer import Normalizer
from pilothouse.policies.trajectory_networks import ResidualConv, TrajectoryNetwork


class TrajectoryDiffusion(Settings):
    """An estimator: ``fit`` learns the windows of a data set, ``sample`` makes new trajectories, guided or not.

    Args:
        network: what denoises.
        length: rows T of a training window.
        stride: steps from one window to the next.
        batch: windows in a batch.
        learning_rate: Adam's at its peak: after a linear warm-up from a tenth of it, before a cosine to 0.
        warmup: share of the steps that warm up.
        ema: how much of the averaged weights stays at an update of theirs.
        ema_every: steps between these updates.
        validation: share of the episodes that are held out.

    Source: arXiv 2404.06356 and its released code; the parameterisation is EDM's, arXiv 2206.00364.
    """

    network: Annotated[TrajectoryNetwork, SLOT] = ResidualConv()
    length: Annotated[int, Field(ge=2)] = 32
    stride: Annotated[int, Field(ge=1)] = 8
    batch: Annotated[int, Field(ge=1)] = 32
    learning_rate: Annotated[float, Field(gt=0)] = 2e-3
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.995
    ema_every: Annotated[int, Field(ge=1)] = 10
    validation: Annotated[float, Field(ge=0, lt=1)] = 0.05

    _columns: TrajectoryColumns | None = PrivateAttr(default=None)
    _net: nn.Module = PrivateAttr(default_factory=nn.Module)
    _ema: EMA = PrivateAttr(default_factory=lambda: EMA(nn.Module()))
    _adam: torch.optim.Adam | None = PrivateAttr(default=None)
    _draws: torch.Generator = PrivateAttr(default_factory=torch.Generator)
    _train: Tensor = PrivateAttr(default_factory=lambda: torch.empty(0))
    _held_out: Tensor = PrivateAttr(default_factory=lambda: torch.empty(0))
    _step: int = PrivateAttr(default=0)
    _steps: int = PrivateAttr(default=0)

    @property
    def step(self) -> int:
        """Batches learnt from."""
        return self._step

    @property
    def steps(self) -> int:
        """Batches to learn from."""
        return self._steps

    @property
    def columns(self) -> TrajectoryColumns:
        """What the rows hold.

        Raises:
            ConfigError: the model has not learnt.
        """
        if self._columns is None:
            raise ConfigError("the diffusion model has learnt nothing yet: call fit(data) or load(folder) first")
        return self._columns

    def begin(self, data: OfflineData, steps: int, seeds: SeedTree) -> Self:
        """Start anew: cut the data into windows and make a fresh network.

        Args:
            data: what was recorded.
            steps: batches it will learn from, over which the learning rate rises and falls.
            seeds: node of its weights, draws and held-out episodes.

        Raises:
            DataError: no episode is as long as a window.
        """
        segments = segment_dataset(data, self.length, self.stride)
        self._build(TrajectoryColumns.of(segments.rows, segments.actions), (seeds / "weights").integer())
        windows = self.columns.normalizer(segments.rows)
        order = torch.randperm(len(data.episodes), generator=(seeds / "held-out").torch())
        out = torch.isin(segments.episode, order[: int(self.validation * len(order))])
        out = torch.zeros_like(out) if out.all() else out
        self._train, self._held_out = windows[~out], windows[out]
        self._draws, self._steps = (seeds / "draws").torch(), steps
        return self

    def update(self) -> float:
        """Learn from one batch and return its loss.

        Raises:
            DivergedError: the loss is not finite.
        """
        assert self._adam is not None
        for group in self._adam.param_groups:
            group["lr"] = self.learning_rate * _schedule(self._step / self._steps, self.warmup)
        chosen = torch.randint(len(self._train), (self.batch,), generator=self._draws)
        loss = edm_loss(self._net, self._train[chosen], self._draws)
        if not math.isfinite(value := float(loss.detach())):
            raise DivergedError(f"the denoiser's loss is {value} at step {self._step}: lower its learning_rate")
        self._adam.zero_grad()
        loss.backward()
        self._adam.step()
        self._step += 1
        if self._step % self.ema_every == 0:
            self._ema.update()
        return value

    def fit(
        self,
        data: OfflineData,
        steps: int = 10_000,
        seeds: SeedTree | None = None,
        progress: Callable[[int, int], None] = lambda done, total: None,
    ) -> Self:
        """Learn from the beginning.

        Args:
            data: what was recorded.
            steps: batches to learn from.
            seeds: node of every draw.
            progress: called with the steps done and all steps.
        """
        self.begin(data, steps, seeds or SeedTree(0))
        while self._step < steps:
            self.update()
            progress(self._step, steps)
        return self

    @torch.no_grad()
    def validation_loss(self, seeds: SeedTree) -> float:
        """Return the averaged weights' loss on held-out episodes; NaN if none was held out."""
        if not len(self._held_out):
            return math.nan
        with self._ema.applied():
            return float(edm_loss(self._net, self._held_out, (seeds / "validation").torch()))

    def sample(
        self,
        n: int,
        generator: torch.Generator,
        *,
        policy: Any = None,
        guidance: ActionGuidance | None = None,
        length: int | None = None,
        sampler: HeunSampler | None = None,
    ) -> Pieces:
        """Return new trajectories.

        Args:
            n: how many.
            generator: draws them.
            policy: what the actions are pushed towards, with ``mean(observations)`` or ``log_prob(observations,
                actions)`` on observations in the task's units and actions within [-1, 1]; ``None`` pushes nothing.
            guidance: how they are pushed.
            length: rows of each; by default as in training.
            sampler: goes from noise to data.

        Raises:
            ConfigError: the model has not learnt, or the policy cannot guide.
        """
        columns, sampler = self.columns, sampler or HeunSampler()
        guide = guidance or ActionGuidance()
        nudge = partial(guide.nudge, policy, columns, sampler.steps) if policy is not None and guide.coeff else None
        with self._ema.applied():
            shape = (n, length or self.length, columns.width)
            x = sampler(partial(denoised, self._net), shape, generator, nudge)
        return columns.read(x)

    def state_dict(self) -> dict[str, Any]:
        """Return all that learning goes on from, but the data."""
        if self._columns is None or self._adam is None:
            return {}
        return {
            "widths": (self._columns.states, self._columns.actions),
            "columns": self._columns.state_dict(),
            "network": self._net.state_dict(),
            "ema": self._ema.state_dict(),
            "adam": self._adam.state_dict(),
            "draws": self._draws.get_state(),
            "step": self._step,
            "steps": self._steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what ``state_dict`` returned; to go on learning, call ``begin`` with the data first."""
        if not state:
            return
        states, actions = state["widths"]
        columns = TrajectoryColumns(states, actions, Normalizer.blank(states + actions + 2))
        columns.load_state_dict(state["columns"])
        self._build(columns, 0)
        assert self._adam is not None
        self._net.load_state_dict(state["network"])
        self._ema.load_state_dict(state["ema"])
        self._adam.load_state_dict(state["adam"])
        self._draws = torch.Generator()
        self._draws.set_state(state["draws"])
        self._step, self._steps = int(state["step"]), int(state["steps"])

    def save(self, folder: Path) -> None:
        """Write settings and state.

        Raises:
            RunError: the folder cannot be written.
        """
        save_state(folder, self.model_dump(mode="json"), self.state_dict())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return the model that ``save`` wrote, ready to sample.

        Raises:
            RunError: a file is missing or damaged.
        """
        try:
            model = cls.model_validate(read_settings(folder))
            model.load_state_dict(read_state(folder))
        except DAMAGE as error:
            raise RunError(f"cannot read the diffusion model in {folder}: {error}; train it again") from error
        return model

    def _build(self, columns: TrajectoryColumns, seed: int) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self._net = self.network.network(columns.width)
        self._columns, self._step = columns, 0
        self._ema = EMA(self._net, power=math.inf, limit=self.ema)
        self._adam = torch.optim.Adam(self._net.parameters(), lr=self.learning_rate, fused=True)


def _schedule(done: float, warmup: float) -> float:
    """Return the learning rate's factor: from a tenth up to 1, and along a cosine to 0."""
    if done < warmup:
        return 0.1 + 0.9 * done / warmup
    return 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
