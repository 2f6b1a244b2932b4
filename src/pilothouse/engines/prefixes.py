"""The prefix store's index: which token sequences have cached keys and values, and in which slots.

A radix tree over token ids (Zheng et al. 2024, SGLang's RadixAttention): what two sequences share is kept once, a slot
holds one token, and the least recently used leaves go when the budget is spent.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pilothouse.core.requests import Tokens


def common_length(left: Tokens, right: Tokens) -> int:
    """Return the length of the longest common prefix."""
    size = min(len(left), len(right))
    if left[:size] == right[:size]:
        return size
    return next(i for i in range(size) if left[i] != right[i])


@dataclass(slots=True, eq=False)
class _Node:
    tokens: Tokens
    slots: list[int]
    parent: _Node | None
    used: int = 0
    children: dict[int, _Node] = field(default_factory=dict)


class PrefixStore:
    """Longest-prefix lookup of cached tokens.

    Args:
        budget: most tokens kept; 0 keeps none.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._root = _Node((), [], None)
        self._free = list(range(self.budget - 1, -1, -1))
        self._clock = 0

    def __len__(self) -> int:
        """Return the number of tokens kept."""
        return self.budget - len(self._free)

    def match(self, tokens: Tokens) -> list[int]:
        """Return the slots of the longest kept prefix of ``tokens``, in order.

        Args:
            tokens: the sequence to look up.
        """
        slots = list[int]()
        self._walk(tokens, slots)
        return slots

    def insert(self, tokens: Tokens) -> tuple[int, list[int]]:
        """Make room for the part of a sequence that is not kept yet.

        Args:
            tokens: the sequence to keep.

        Returns:
            First position that is new, and the slots for the positions from there on: the caller fills them. They
            reach less far than the sequence when the budget does not hold it.
        """
        slots = list[int]()
        node, inside = self._walk(tokens, slots)
        start = len(slots)
        if inside < len(node.tokens) and start < len(tokens):
            node = self._split(node, inside)
        rest = tokens[start:]
        self._evict(len(rest), node)
        count = min(len(rest), len(self._free))
        if not count:
            return start, []
        new = self._free[-count:][::-1]
        del self._free[-count:]
        node.children[rest[0]] = _Node(rest[:count], new, node, self._clock)
        return start, new

    def _walk(self, tokens: Tokens, slots: list[int]) -> tuple[_Node, int]:
        """Follow ``tokens`` as far as kept; returns the last node and how much of its own tokens matched."""
        self._clock += 1
        node, inside = self._root, 0
        while len(slots) < len(tokens) and (child := node.children.get(tokens[len(slots)])):
            done = len(slots)
            inside = common_length(child.tokens, tokens[done : done + len(child.tokens)])
            slots += child.slots[:inside]
            node = child
            node.used = self._clock
            if inside < len(node.tokens):
                break
        return node, inside

    def _split(self, node: _Node, at: int) -> _Node:
        """Cut a node in two and return the upper half."""
        assert node.parent is not None
        upper = _Node(node.tokens[:at], node.slots[:at], node.parent, node.used, {node.tokens[at]: node})
        node.parent.children[upper.tokens[0]] = upper
        node.tokens, node.slots, node.parent = node.tokens[at:], node.slots[at:], upper
        return upper

    def _evict(self, need: int, keep: _Node) -> None:
        """Free slots for ``need`` tokens, an eighth of the budget at a time so that the search for leaves is rare."""
        if need <= len(self._free):
            return
        goal = min(self.budget, need + self.budget // 8)
        while len(self._free) < goal:
            leaves = [node for node in self._nodes() if not node.children and node is not keep]
            if not leaves:
                return
            for leaf in sorted(leaves, key=lambda node: node.used):
                assert leaf.parent is not None
                del leaf.parent.children[leaf.tokens[0]]
                self._free += leaf.slots[::-1]
                if len(self._free) >= goal:
                    return

    def _nodes(self) -> list[_Node]:
        """Return every node but the root."""
        found, todo = list[_Node](), list(self._root.children.values())
        while todo:
            node = todo.pop()
            found.append(node)
            todo += node.children.values()
        return found
