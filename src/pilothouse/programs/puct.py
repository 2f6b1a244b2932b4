"""The arithmetic of a search tree of steps: select, back up, prune, decode. Knows no engine and no request.

Visits N, value sum W, Q = W / N. The child of the highest ``Q + c P sqrt(N_parent) / (1 + N_child)`` is chosen: the
rule of AlphaZero (Silver et al. 2017, arXiv 1712.01815) as AlphaMath uses it (arXiv 2405.03553, equation 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from pilothouse.programs.paths import Path

INVALID = -1.0  #: worth of a response that ended without an answer


@dataclass(eq=False)
class Node:
    """A state: the steps taken so far. The root is the state before the first step.

    Args:
        path: the steps from the root.
        parent: the state before the last step; ``None`` at the root.
        prior: geometric mean probability of the last step's tokens, not normalised over siblings.
        terminal: whether nothing below is left to explore: the response ended, or all children are terminal.
        answer: final answer of a response that ended with one; empty for every other state.
        value: what the state was evaluated to be worth when it was created or expanded; NaN until then.
        visits: evaluations backed up through the node, N.
        total: their sum, W.
        children: states one step on, in the order they were sampled.
    """

    path: Path
    parent: Node | None = None
    prior: float = 1.0
    terminal: bool = False
    answer: str = ""
    value: float = math.nan
    visits: int = 0
    total: float = 0.0
    children: list[Node] = field(default_factory=list["Node"])

    @property
    def q(self) -> float:
        """Mean of the evaluations backed up through it; 0 before the first."""
        return self.total / self.visits if self.visits else 0.0

    def back_up(self, value: float) -> None:
        """Count an evaluation of this state in it and in every state on the way to the root: no discount, no sign."""
        self.value = value
        node: Node | None = self
        while node is not None:
            node.visits += 1
            node.total += value
            node = node.parent

    def line(self) -> list[Node]:
        """Return the states from the first step's to this one, the root left out."""
        found: list[Node] = []
        node = self
        while node.parent is not None:
            found.append(node)
            node = node.parent
        return found[::-1]

    def walk(self) -> Iterator[Node]:
        """Yield this state and all below it, parents before children."""
        yield self
        for child in self.children:
            yield from child.walk()


def prior(logprobs: Sequence[float]) -> float:
    """Return ``exp(mean log-probability)`` of a step's tokens; 1 where an engine cannot tell them.

    Args:
        logprobs: log-probability of each token of the step.
    """
    known = [logprob for logprob in logprobs if math.isfinite(logprob)]
    return math.exp(sum(known) / len(known)) if known else 1.0


def puct(child: Node, parent_visits: int, c: float) -> float:
    """Return how promising a child is: ``Q + c P sqrt(N_parent) / (1 + N_child)``."""
    return child.q + c * child.prior * math.sqrt(parent_visits) / (1 + child.visits)


def select(root: Node, c: float, rng: np.random.Generator) -> Node | None:
    """Return the leaf to expand next, or ``None`` when the tree is exhausted.

    A state whose children are all terminal becomes terminal on the way, and the walk begins again.

    Args:
        root: the tree.
        c: weight of exploration.
        rng: breaks ties.
    """
    while not root.terminal:
        node = root
        while node.children:
            living = [child for child in node.children if not child.terminal]
            if not living:
                node.terminal = True
                break
            node = _most_promising(living, node.visits, c, rng)
        else:
            return node
    return None


def _most_promising(children: Sequence[Node], parent_visits: int, c: float, rng: np.random.Generator) -> Node:
    scores = [puct(child, parent_visits, c) for child in children]
    top = max(scores)
    # Equal scores reached by different sums differ in their last bits.
    ties = [child for child, score in zip(children, scores, strict=True) if math.isclose(score, top, abs_tol=1e-12)]
    return ties[int(rng.integers(len(ties)))] if len(ties) > 1 else ties[0]


def fruitful(root: Node) -> set[Node]:
    """Return the states on the way to an answer: what is left when all other leaves, and what leads only there, go."""
    return {state for node in root.walk() if node.answer for state in (root, *node.line())}


def decode(root: Node, keep: int) -> Node | None:
    """Return the answer that the tree prefers: at every depth, the states with the highest Q go on.

    An answer that is among them leaves one place fewer for the states still under way.

    Args:
        root: the tree.
        keep: states kept at a depth.

    Returns:
        The answered state of the highest Q among those kept, or ``None`` if no response has an answer.

    Source: AlphaMath, arXiv 2405.03553, algorithm 1.
    """
    useful = fruitful(root)
    beam, done, places = [root], list[Node](), keep
    while beam and places:
        ahead = [child for node in beam for child in node.children if child in useful]
        kept = sorted(ahead, key=lambda node: -node.q)[:places]
        done += [node for node in kept if node.answer]
        beam = [node for node in kept if not node.answer]
        places = keep - len(done)
    return max(done, key=lambda node: node.q, default=None)
