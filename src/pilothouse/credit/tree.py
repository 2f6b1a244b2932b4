"""The tree that a group of responses forms, read from the labels of their segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from pilothouse.core.errors import ConfigError
from pilothouse.core.rollouts import Rollouts
from pilothouse.credit.whitened import live_tokens, whiten

Node: TypeAlias = tuple[int, str]  #: a group and the label of a node in it; the empty label is the prompt
Scale: TypeAlias = Literal["whiten", "std", "none"]


def node_paths(rollouts: Rollouts, who: str) -> list[list[Node]]:
    """Return each episode's nodes from the prompt to its end, one more than it has segments.

    Args:
        rollouts: episodes whose segments are labelled with the nodes of a tree.
        who: the part that asks, for the message.

    Raises:
        ConfigError: an episode has no labelled segments.
    """
    if len(rollouts.episodes) != len(rollouts) or not all(
        episode.segments and all(segment.label for segment in episode.segments) for episode in rollouts.episodes
    ):
        raise ConfigError(
            f"'{who}' reads the tree of responses from the labels of their segments, and there are responses without: "
            "use --program treepo"
        )
    groups = [int(group) for group in rollouts.groups]
    return [
        [(group, ""), *((group, segment.label) for segment in episode.segments)]
        for group, episode in zip(groups, rollouts.episodes, strict=True)
    ]


def levels(paths: list[list[Node]]) -> list[Int[Tensor, " N"]]:
    """Return, for each depth from the prompt on, an index of every episode's node there; -1 where it has none.

    Args:
        paths: each episode's nodes.
    """
    found: list[Tensor] = []
    for depth in range(max(len(path) for path in paths)):
        index: dict[Node, int] = {}
        found.append(torch.tensor([index.setdefault(p[depth], len(index)) if depth < len(p) else -1 for p in paths]))
    return found


def by_segment(rollouts: Rollouts, figure: Callable[[int, int], float]) -> Float[Tensor, "N T"]:
    """Return a figure of each token's segment; 0 outside any.

    Args:
        rollouts: labelled episodes.
        figure: of the episode and the segment in it.
    """
    rows: list[list[float]] = []
    for row, episode in enumerate(rollouts.episodes):
        rows.append([0.0, *(figure(row, at) for at in range(len(episode.segments)))])
    width = max(len(row) for row in rows)
    table = torch.tensor([[*row, *[0.0] * (width - len(row))] for row in rows])
    return table.gather(1, rollouts.segments + 1)


def scaled(weights: Float[Tensor, "N T"], rollouts: Rollouts, scale: Scale) -> Float[Tensor, "N T"]:
    """Return the weights of the trained tokens, brought to scale over all of them; 0 elsewhere.

    Args:
        weights: [N, T] advantages.
        rollouts: the episodes.
        scale: "whiten" takes the mean over the batch's trained tokens off and divides by their (sample) std, as the
            paper's code does; "std" only divides, as its equation 5; "none" does neither.
    """
    live = live_tokens(rollouts)
    if scale == "none":
        return torch.where(live, weights, 0.0)
    return whiten(weights, live, live & rollouts.stats_mask[:, None], ddof=1, centre=scale == "whiten")
