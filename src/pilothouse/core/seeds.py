"""One seed tree per run: every random draw has an address, so nothing depends on the order of draws.

A node is a path of names and numbers; its seed is a hash of that path. Because ``root / "sampling" / step`` gives the
same seed whether or not step 0 ever ran in this process, a resumed run draws exactly what the uninterrupted run drew.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch


@dataclass(frozen=True)
class SeedTree:
    """A node of the tree of seeds.

    Args:
        root: the run's seed.
        path: names and numbers from the root to this node.
    """

    root: int
    path: tuple[str | int, ...] = field(default=())

    def __truediv__(self, name: str | int) -> SeedTree:
        """Return the child node called ``name``."""
        return SeedTree(self.root, (*self.path, name))

    def integer(self) -> int:
        """Return this node's seed, an integer in [0, 2**63)."""
        address = "\x1f".join(f"{type(part).__name__}:{part}" for part in (self.root, *self.path))
        return int.from_bytes(hashlib.blake2b(address.encode(), digest_size=8).digest(), "big") >> 1

    def numpy(self) -> np.random.Generator:
        """Return a fresh NumPy generator seeded at this node."""
        import numpy as np

        return np.random.default_rng(self.integer())

    def torch(self) -> torch.Generator:
        """Return a fresh CPU PyTorch generator seeded at this node."""
        import torch

        return torch.Generator().manual_seed(self.integer())
