"""Particle Gibbs: repeat the particle filter around a response that was good the last time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pilothouse.core.budgets import divided
from pilothouse.core.problems import Posed
from pilothouse.programs.base import Steps
from pilothouse.programs.particles import Particle, Particles
from pilothouse.programs.paths import Path
from pilothouse.programs.resampling import distribution, draw
from pilothouse.programs.step_search import Board
from pilothouse.programs.trace import Trace


class ParticleGibbs(Particles):
    """Iterated conditional particle filter (Puri et al. 2025, arXiv 2502.01618, algorithm 2).

    After a filter of n particles, each further iteration draws references by their final weights and runs a filter of
    n - R fresh particles beside them. A reference takes part in resampling with its weight at the current step, its
    final one once it has ended; it may be copied, cut at that step and active again, and is itself never replaced.

    Args:
        iters: iterations T; the budget is n T responses, of which the references cost nothing.
        n_ref: references R.
        answer_from: choose the answer among the last iteration's particles, or among those of all iterations.
    """

    name: ClassVar[str] = "particle-gibbs"
    iters: Annotated[int, Field(ge=1)] = 2
    n_ref: Annotated[int, Field(ge=1)] = 1
    answer_from: Literal["last", "all"] = "last"

    @model_validator(mode="after")
    def _some_are_free(self) -> Self:
        if self.iters > 1 and self.n_ref >= self.n:
            raise ValueError(
                f"n = {self.n} particles with {self.n_ref} kept as reference leave none to sample: "
                f"give n = {self.n_ref + 1} or more"
            )
        return self

    @property
    def group_size(self) -> int:
        """All that were sampled: n, then n - R an iteration."""
        return self.n + (self.iters - 1) * (self.n - self.n_ref)

    def sized(self, samples: int) -> Self:
        """Return it with as many particles an iteration as ``samples`` responses in all pay for.

        Raises:
            ConfigError: the budget does not divide by the iterations, or leaves no particle to sample.
        """
        least = self.n_ref + 1 if self.iters > 1 else 1
        n = divided(samples, self.iters, f"{self.name} of {self.iters} iterations", least=least)
        return self.model_copy(update={"n": n})

    def __call__(self, posed: Posed) -> Steps:
        """Run the filter T times; the episodes are all responses that were sampled."""
        board = Board(posed, Trace(self.name))
        pool, found, references = list[Particle](), list[Particle](), list[Path]()
        for iteration in range(self.iters):
            pool = yield from self.sweep(board, self.tau_at, references, iteration=iteration)
            found += pool[: len(pool) - len(references)]
            references = drawn_references(posed, pool, self.n_ref)
        chosen = self.pick(posed, pool if self.answer_from == "last" else found)
        picked = (pool if self.answer_from == "last" else found)[chosen].path
        paths = [particle.path for particle in found]
        return self.conclude(board, paths, next(at for at, path in enumerate(paths) if path is picked))


def drawn_references(posed: Posed, pool: Sequence[Particle], n_ref: int) -> list[Path]:
    """Return references drawn by their final weights, with replacement.

    Args:
        posed: whose generator draws.
        pool: a final weighted set.
        n_ref: how many.
    """
    theta = distribution([particle.carried for particle in pool])
    return [pool[at].path for at in draw(theta, n_ref, "multinomial", posed.rng)]
