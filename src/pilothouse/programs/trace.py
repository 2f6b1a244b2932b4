"""The record of a search: a tree of steps, JSON-ready, that reports draw and readers follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class Trace:
    """What a search did, as a tree whose root is the prompt. Nodes are steps; ids count from 0, the root.

    A node holds ``id``, ``parent``, ``text``, ``tokens`` (how many), ``state`` and whatever facts a program adds
    ("score", "visits", "q", "weight", "answer"). States: "open", "finished", "pruned", "chosen". Chosen means on the
    path of the answer.

    Args:
        kind: the program's name.
        nodes: the nodes in the order they were made.
        rounds: one table a round of the search: a particle filter's ancestry, weights and effective sample size, say.
        notes: sentences for the user about what went oddly.
    """

    kind: str
    nodes: list[dict[str, Any]] = field(
        default_factory=lambda: [{"id": 0, "parent": None, "text": "", "tokens": 0, "state": "open"}]
    )
    rounds: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    notes: list[str] = field(default_factory=list[str])

    def add(self, parent: int, text: str, tokens: int, **facts: Any) -> int:
        """Add a step and return its id.

        Args:
            parent: id of the node it continues.
            text: the step's text.
            tokens: how many tokens it has.
            facts: what else is known of it, JSON values only.
        """
        node: dict[str, Any] = {
            "id": len(self.nodes),
            "parent": parent,
            "text": text,
            "tokens": tokens,
            "state": "open",
        }
        self.nodes.append(node | facts)
        return len(self.nodes) - 1

    def mark(self, node: int, **facts: Any) -> None:
        """Set facts of a node."""
        self.nodes[node].update(facts)

    def root_of(self, node: int) -> int:
        """Return the first step that a node descends from."""
        while self.nodes[node]["parent"]:
            node = self.nodes[node]["parent"]
        return node

    def choose(self, node: int) -> None:
        """Mark a node and all it grew from as chosen."""
        at: int | None = node
        while at is not None:
            self.nodes[at]["state"] = "chosen"
            at = self.nodes[at]["parent"]

    def note(self, sentence: str) -> None:
        """Add a sentence for the user, once; an empty one is none."""
        if sentence and sentence not in self.notes:
            self.notes.append(sentence)

    def to_dict(self) -> dict[str, Any]:
        """Return the record for JSON."""
        return {"kind": self.kind, "nodes": self.nodes, "rounds": self.rounds, "notes": self.notes}
