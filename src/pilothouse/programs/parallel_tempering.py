"""Parallel tempering: particle Gibbs chains at several temperatures that swap their references."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, model_validator

from pilothouse.core.budgets import divided
from pilothouse.core.problems import Posed
from pilothouse.programs.base import Steps
from pilothouse.programs.particle_gibbs import drawn_references
from pilothouse.programs.particles import Filtering, Particle, Tau
from pilothouse.programs.paths import Path
from pilothouse.programs.step_search import Board, together
from pilothouse.programs.trace import Trace


class ParallelTempering(Filtering):
    """Chains of particle Gibbs, hottest first (Puri et al. 2025, arXiv 2502.01618, algorithm 3).

    A chain's temperature is that of its resampling and of the choice of its reference. Between iterations neighbours
    swap references as Metropolis decides. The paper's experiments run a single iteration of independent chains.

    Args:
        chains: M.
        temps: M temperatures that never rise, the coldest last; ``select`` "sample" and "vote" go by the coldest chain,
            "argmax" looks at all of them.
        iters: iterations of every chain; the budget is n M iters responses.
    """

    name: ClassVar[str] = "parallel-tempering"
    chains: Annotated[int, Field(ge=1)] = 2
    temps: tuple[Tau, ...] = (2.0, 1.0)
    iters: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _chains_fit(self) -> Self:
        if len(self.temps) != self.chains or list(self.temps) != sorted(self.temps, reverse=True):
            raise ValueError(
                f"{self.chains} chains need {self.chains} temperatures, hottest first, not {list(self.temps)}: "
                "set chains and temps together"
            )
        if self.iters > 1 and self.n < 2:
            raise ValueError("n = 1 particle that is kept as reference leaves none to sample: give n = 2 or more")
        return self

    @property
    def group_size(self) -> int:
        """All that were sampled: n a chain, then n - 1 an iteration."""
        return self.chains * (self.n + (self.iters - 1) * (self.n - 1))

    def sized(self, samples: int) -> Self:
        """Return it with as many particles a chain as ``samples`` responses in all pay for.

        Raises:
            ConfigError: the budget does not divide by chains and iterations, or leaves no particle to sample.
        """
        what = f"{self.name} of {self.chains} chains and {self.iters} iterations"
        n = divided(samples, self.chains * self.iters, what, least=2 if self.iters > 1 else 1)
        return self.model_copy(update={"n": n})

    def __call__(self, posed: Posed) -> Steps:
        """Run all chains side by side; the episodes are all responses that were sampled."""
        board = Board(posed, Trace(self.name))
        pools, found = list[list[Particle]](), list[Particle]()
        references: list[list[Path]] = [[] for _ in self.temps]
        for iteration in range(self.iters):
            if iteration:
                references = [drawn_references(posed, pool, 1) for pool in pools]
                self._swap(board, references)
            pools = yield from together(
                [
                    self.sweep(board, lambda step, tau=tau: tau, kept, iteration=iteration, chain=chain)
                    for chain, (tau, kept) in enumerate(zip(self.temps, references, strict=True))
                ]
            )
            for pool, kept in zip(pools, references, strict=True):
                found += pool[: len(pool) - len(kept)]
        pool = [particle for each in pools for particle in each] if self.select == "argmax" else pools[-1]
        picked = pool[self.pick(posed, pool)].path
        paths = [particle.path for particle in found]
        return self.conclude(board, paths, next(at for at, path in enumerate(paths) if path is picked))

    def _swap(self, board: Board, references: list[list[Path]]) -> None:
        """Let neighbouring chains swap references, hottest pair first."""
        for k in range(self.chains - 1):
            weights = [self.weigh(references[at][0]) for at in (k, k + 1)]
            chance = swap_chance(weights, self.temps[k : k + 2])
            swapped = bool(board.posed.rng.random() < chance)
            if swapped:
                references[k], references[k + 1] = references[k + 1], references[k]
            board.trace.rounds.append({"swap": [k, k + 1], "weights": weights, "chance": chance, "swapped": swapped})


def swap_chance(weights: Sequence[float], temps: Sequence[float]) -> float:
    """Return ``min(1, exp((w_k+1 - w_k) (1 / T_k - 1 / T_k+1)))``: the Metropolis chance that two chains swap.

    Args:
        weights: final weights of both references.
        temps: both temperatures.
    """
    exponent = (weights[1] - weights[0]) * (1 / temps[0] - 1 / temps[1])
    return math.exp(min(0.0, exponent))
