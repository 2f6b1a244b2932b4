"""A policy that only decides when to stop: what tree sampling saves, without a network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pilothouse.core.problems import Posed
from pilothouse.core.requests import Continuation, Request, Sample, StopReason
from pilothouse.core.results import Result
from pilothouse.core.seeds import SeedTree
from pilothouse.engines.codecs import ByteCodec
from pilothouse.engines.runner import Job, Runner
from pilothouse.engines.scripted import ScriptedEngine
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.group import Group
from pilothouse.programs.stepping import Stepping
from pilothouse.programs.treepo import TreePO

_CODEC = ByteCodec()
_PROMPT = _CODEC.encode("?")


@dataclass(frozen=True)
class Memoryless:
    """Ends after every token with the same chance, from a minimum on.

    Args:
        mean: mean number of tokens after the minimum.
        minimum: tokens of the shortest response, less one.
    """

    mean: float = 40.0
    minimum: int = 12

    def __call__(self, request: Request) -> Continuation:
        """Return a continuation of spaces that is as long as the seed and the place say."""
        assert isinstance(request, Sample)
        assert request.seed is not None
        done, room = len(request.prefix) - len(_PROMPT), request.max_tokens or 0
        rng = np.random.default_rng([request.seed, done])
        length = max(self.minimum - done, 0) + int(rng.geometric(1 / self.mean))
        size = min(length, room)
        reason = StopReason.EOS if length <= room else StopReason.LENGTH
        return Continuation((32,) * size, " " * size, (0.0,) * size, reason)


@dataclass(frozen=True)
class Economy:
    """What a tree took beside independent samples of the same stopper.

    Args:
        ratio: tokens decoded by the trees over tokens decoded by the groups.
        shared: tokens decoded by the trees over tokens of their responses.
        tree_length: mean response length in the trees.
        group_length: mean length of independent responses.
        responses: responses of the trees.
    """

    ratio: float
    shared: float
    tree_length: float
    group_length: float
    responses: int


def stopper_economy(
    stopper: Memoryless, width: int, segment: int, depth: int, prompts: int, seeds: SeedTree
) -> Economy:
    """Return what trees of 2 children a fork save on a memoryless stopper.

    Args:
        stopper: decides when to stop.
        width: responses a prompt (w).
        segment: tokens of a segment (l).
        depth: segments at the most (d).
        prompts: trees, and groups, to draw.
        seeds: node that seeds both.
    """
    sampling = Sampling(max_tokens=segment * depth)
    tree = TreePO(width=width, stepping=Stepping(tokens=segment, max_steps=depth), sampling=sampling)
    trees = _run(tree, stopper, prompts, seeds / "tree")
    # One request a response, because the stopper draws by seed and place alone.
    groups = _run(Group(n=1, sampling=sampling), stopper, prompts * width, seeds / "group")
    decoded = sum(result.cost.tokens_sampled for result in trees)
    lengths = [len(episode.tokens) for result in trees for episode in result.episodes]
    alone = [len(episode.tokens) for result in groups for episode in result.episodes]
    return Economy(
        ratio=decoded / sum(alone),
        shared=decoded / sum(lengths),
        tree_length=float(np.mean(lengths)),
        group_length=float(np.mean(alone)),
        responses=len(lengths),
    )


def _run(program: Program, stopper: Memoryless, count: int, seeds: SeedTree) -> list[Result]:
    runner = Runner(ScriptedEngine(stopper))
    posed = [Posed(str(i), _PROMPT, "?", (seeds / i / "program").numpy(), _CODEC) for i in range(count)]
    return runner.run(Job(program, problem, seeds / i) for i, problem in enumerate(posed))
