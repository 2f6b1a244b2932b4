"""The protocol of control tasks: environments of many slots, experts that show how, and what counts as success."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

from pilothouse.core.errors import DataError
from pilothouse.core.parts import Catalogue, Part
from pilothouse.core.seeds import SeedTree
from pilothouse.tasks.demonstrations import Demonstrations, Trajectory
from pilothouse.tasks.playing import play


@dataclass(frozen=True)
class Moment:
    """What a step brought in each slot of an environment.

    Args:
        observations: [N, D] what is seen now.
        rewards: [N] reward of the step.
        terminated: [N] whether the task itself has ended.
        truncated: [N] whether the time limit has.
        success: [N] 1.0 fulfilled, 0.0 not, NaN where the task does not say.
    """

    observations: Tensor
    rewards: Tensor
    terminated: Tensor
    truncated: Tensor
    success: Tensor

    @property
    def done(self) -> Tensor:
        """[N] whether the episode is over."""
        return self.terminated | self.truncated


class Environment(Protocol):
    """Slots that act side by side, each with an episode of its own."""

    n: int

    def reset(self, slots: Tensor | None = None) -> Tensor:
        """Begin new episodes and return what is seen in every slot, [N, D].

        Args:
            slots: [N] which slots begin; ``None`` means all. The k-th episode of slot i depends on the seed, i and k.
        """
        ...

    def step(self, actions: Tensor) -> Moment:
        """Act in every slot; a slot whose episode is over stays as it is and earns nothing.

        Args:
            actions: [N, A] in the task's units, within its bounds.
        """
        ...


class Expert(Protocol):
    """A scripted policy that fulfils a task."""

    def act(self, observations: Tensor) -> Tensor:
        """Return the actions of all slots, [N, A], after seeing ``observations``, [N, D]."""
        ...


class ControlCatalogue(Catalogue):
    """The control tasks; ``gym:Hopper-v5`` is short for task ``gym`` with that environment."""

    def parse(self, text: str) -> Part:
        """Return the task called ``text``."""
        return self.build({"name": text.strip()})

    def build(self, spec: Any) -> Part:
        """Return the task that ``spec`` describes (see ``Part.build``)."""
        if isinstance(spec, Mapping) and str(spec.get("name", "")).startswith("gym:"):
            spec = {**spec, "name": "gym", "environment": str(spec["name"]).removeprefix("gym:")}
        return super().build(spec)


class ControlTask(Part):
    """A task that is acted in: observations and actions are vectors.

    Args:
        data: folder of saved episodes to learn from, or "minari:" and the id of a Minari data set of this machine;
            empty lets the scripted expert make them.

    Class attributes:
        plane: the observation columns that a picture of an episode shows; ``None`` if there is none to show.
        edition: of an expert that is so slow that its episodes are kept; another one wherever it acts otherwise than
            before. Empty has the episodes made anew every time.
    """

    catalogue: ClassVar[Catalogue] = ControlCatalogue("control task", "pilothouse.tasks")
    plane: ClassVar[tuple[int, int] | None] = None
    edition: ClassVar[str] = ""

    data: str = ""

    @property
    def title(self) -> str:
        """What to call the task in names of folders and figures."""
        return self.name

    @property
    def observation_dim(self) -> int:
        """Columns D of an observation."""
        raise NotImplementedError

    @property
    def action_dim(self) -> int:
        """Columns A of an action."""
        raise NotImplementedError

    @property
    def bounds(self) -> tuple[Tensor, Tensor]:
        """Smallest and largest action, [A] each."""
        return -torch.ones(self.action_dim), torch.ones(self.action_dim)

    @property
    def horizon(self) -> int:
        """Steps after which an episode is cut off."""
        raise NotImplementedError

    def make(self, n: int, seeds: SeedTree) -> Environment:
        """Return an environment of ``n`` slots whose episodes are drawn from ``seeds``.

        Raises:
            ConfigError: a package that the environment needs is not installed; the message names the extra.
        """
        raise NotImplementedError

    def expert(self, n: int, seeds: SeedTree) -> Expert:
        """Return a scripted expert for ``n`` slots.

        Raises:
            DataError: there is none.
        """
        raise DataError(
            f"task '{self.title}' has no scripted expert: give --data a folder of episodes, written by "
            "Demonstrations.of(episodes).save(folder)"
        )

    def demonstrations(
        self, count: int, seeds: SeedTree, progress: Callable[[int, int], None] | None = None
    ) -> Demonstrations:
        """Return ``count`` episodes to learn from: those saved in ``data``, or successes of the expert.

        Args:
            count: how many.
            seeds: node of their starts and of whatever the expert draws.
            progress: told how many of how many there are while a slow expert makes them.

        Raises:
            DataError: there are too few, they do not fit this task, or the expert keeps failing.
        """
        if not self.data:
            return Demonstrations.of(self._shown(count, seeds, progress))
        found = self._saved()
        shape = len(found.observations.low), len(found.actions.low)
        if shape != (self.observation_dim, self.action_dim):
            raise DataError(
                f"episodes in {self.data} have observations of {shape[0]} and actions of {shape[1]} numbers, task "
                f"'{self.title}' has {self.observation_dim} and {self.action_dim}: name episodes of this task"
            )
        return found

    def self_check(self, limit: int = 20) -> list[str]:
        """Check the task against itself and return what is wrong, a sentence each; an empty list means fit for use.

        Observations must be as wide as the task says, and its expert, if it has one, must fulfil it nine times in ten.

        Args:
            limit: episodes of the expert.
        """
        node = SeedTree(0) / "self-check"
        width = self.make(1, node).reset().shape[1]
        if width != self.observation_dim:
            return [f"observations have {width} numbers, and the task says {self.observation_dim}"]
        if type(self).expert is ControlTask.expert:
            return []
        expert = self.expert(limit, node / "expert")
        shown = play(self.make(limit, node), lambda seen, _: expert.act(seen), self.bounds)
        good = sum(one.success == 1 for one in shown)
        return [] if good >= 0.9 * limit else [f"its expert fulfils it in {good} of {limit} episodes"]

    def source(self) -> str:
        """Return one line that says where the episodes come from."""
        return self.data or "scripted expert"

    def _saved(self) -> Demonstrations:
        from pilothouse.tasks.minari_data import read_minari  # which writes data sets of tasks

        place, _, name = self.data.partition(":")
        return read_minari(name) if place == "minari" else Demonstrations.load(Path(self.data))

    def _shown(self, count: int, seeds: SeedTree, progress: Callable[[int, int], None] | None) -> list[Trajectory]:
        """Successes of the expert, in the order of their seeds."""
        if self.edition:
            from pilothouse.tasks.recording import recorded  # which records episodes of tasks

            return recorded(self, count, seeds, progress)
        kept: list[Trajectory] = []
        for attempt in range(20):
            node, missing = seeds / attempt, count - len(kept)
            expert = self.expert(missing, node / "expert")
            shown = play(self.make(missing, node), lambda seen, _, expert=expert: expert.act(seen), self.bounds)
            kept += [one for one in shown if one.success == 1]
            if len(kept) >= count:
                return kept
        raise DataError(f"the expert of task '{self.title}' fulfilled it {len(kept)} times where {count} are needed")
