"""Where a finished response is cut to grow another one from its beginning, when a tree came out too narrow."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from pilothouse.core.parts import Settings
from pilothouse.programs.branching import told
from pilothouse.programs.paths import Path

ANSWERED, EOS = "answered", "eos"  #: how a response ends that did so by itself


class Fallback(Settings):
    """How a tree that ended too narrow grows on: from cuts of its own finished responses.

    Prefixes of responses that ended well are over-represented by this, which no importance ratio corrects.

    Args:
        cut: "random" cuts anywhere alike; "least-likely" before the least likely token; "softmax" draws a block of
            tokens by ``exp(-mean log-probability)`` and cuts at its start; "off" leaves the tree as it is.
        aligned: move the cut back to the segment boundary before it.
        sources: cut responses that ended by themselves, or only those with a final answer.
        block: tokens of a block.

    Source: Li et al. 2025 (TreePO), arXiv 2508.17445, algorithm 1 and its code.
    """

    cut: Literal["random", "least-likely", "softmax", "off"] = "random"
    aligned: bool = True
    sources: Literal["ended", "answered"] = "ended"
    block: Annotated[int, Field(ge=1)] = 128

    def takes(self, reason: str) -> bool:
        """Return whether a response that ended for this reason may be cut."""
        return reason == ANSWERED or (reason == EOS and self.sources == "ended")

    def position(self, path: Path, rng: np.random.Generator) -> int:
        """Return how many of a response's tokens are kept, from 0 to one less than all.

        Args:
            path: a finished response with at least one token.
            rng: draws the cut.
        """
        starts = [step.start for step in path.steps if step.start < len(path.tokens)]
        if self.cut == "random":
            places = starts if self.aligned else range(len(path.tokens))
            return int(places[int(rng.integers(len(places)))])
        logprobs = np.array(told(path.logprobs, f"fallback.cut '{self.cut}'"))
        place = int(logprobs.argmin()) if self.cut == "least-likely" else self._unlikely_block(logprobs, rng)
        return starts[bisect_right(starts, place) - 1] if self.aligned else place

    def _unlikely_block(self, logprobs: np.ndarray, rng: np.random.Generator) -> int:
        firsts = range(0, len(logprobs), self.block)
        means = [float(logprobs[first : first + self.block].mean()) for first in firsts]
        weights = np.array([math.exp(min(means) - mean) for mean in means])
        return firsts[int(rng.choice(len(means), p=weights / weights.sum()))]
