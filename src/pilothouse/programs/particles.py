"""The particle filter: sample partial answers from the posterior that a noisy process reward makes of the policy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from pilothouse.core.problems import Posed
from pilothouse.programs.base import Steps
from pilothouse.programs.choose import best, vote
from pilothouse.programs.paths import Path
from pilothouse.programs.resampling import (
    Resampling,
    annealed,
    distribution,
    draw,
    effective_size,
    entropic,
    log_mean_exp,
    logit,
)
from pilothouse.programs.step_search import Board, Part, StepSearch
from pilothouse.programs.trace import Trace

Tau = Annotated[float, Field(ge=1e-6)]


@dataclass(frozen=True)
class Particle:
    """A partial response and what it weighs.

    Args:
        path: the steps.
        seed: seeds its samples.
        carried: log-weight since it was last resampled.
        applied: tempered weight of its score that is in already; what incremental weights count from.
    """

    path: Path
    seed: int
    carried: float = 0.0
    applied: float = 0.0


class Filtering(StepSearch):
    """What particle filter, particle Gibbs and parallel tempering share: one sweep from empty answers to whole ones.

    Args:
        n: particles of a sweep.
        weight: a particle weighs the log-odds of its score, or, as the paper's pseudo-code reads, the score itself.
        resampling: how indices are drawn.
        ess_threshold: resample only when the effective sample size is below this share of the particles, and carry
            the weights on otherwise; 1 resamples at every step.
        resample_inactive: whether finished responses take part in resampling; without it they are kept for good and
            keep the weight they ended with.
        incremental: weigh a step by what it adds to the weight, so that the target is the policy times the odds of the
            final score alone. Otherwise each step's odds multiply: the policy times the product of all steps' odds.
        entropic: raise the temperature early on while few particles hold most of the weight (successor paper).
        select: the answer is the particle of the largest final weight, one drawn by weight, or the first with the
            answer of the greatest total weight.
    """

    n: Annotated[int, Field(ge=1)] = 8
    weight: Literal["logit", "raw"] = "logit"
    resampling: Resampling = "multinomial"
    ess_threshold: Annotated[float, Field(gt=0, le=1)] = 1.0
    resample_inactive: bool = True
    incremental: bool = False
    entropic: bool = False
    select: Literal["argmax", "sample", "vote"] = "argmax"

    def weigh(self, path: Path) -> float:
        """Return the weight of a scored path."""
        score = self.score_of(path)
        return logit(score) if self.weight == "logit" else score

    def sweep(
        self, board: Board, tau_at: Callable[[int], float], references: Sequence[Path] = (), **facts: Any
    ) -> Part[list[Particle]]:
        """Run one filter until every free particle has ended; the weighted set, references last and whole.

        Args:
            board: the search.
            tau_at: the resampling temperature of a step, counted from 0.
            references: responses that keep their places; the other n - R particles start empty.
            facts: what each round's record says besides.
        """
        free = [Particle(Path(), board.seed()) for _ in range(self.n - len(references))]
        kept = [Particle(path, 0) for path in references]
        for step in count():
            was_alive = [particle.path.alive for particle in free]
            names = [f"particle {at}" for at in range(len(free))]
            paths = yield from self.extend(board, [(p.path, p.seed) for p in free], names)
            if not step:
                self.refuse_nothing(board, paths)
            free = [replace(particle, path=path) for particle, path in zip(free, paths, strict=True)]
            last = not any(path.alive for path in paths)
            kept = [
                replace(p, path=path if last else up_to(board.trace, path, step + 1))
                for p, path in zip(kept, references, strict=True)
            ]
            moved = was_alive + [len(path.steps) > step for path in references]
            pool, record = self._weighed(free + kept, moved, step, tau_at(step))
            free, kept = self._resampled(board, pool, len(free), record, last)
            board.trace.rounds.append({**facts, "step": step + 1, **record})
            if last:
                return pool
        raise AssertionError("paths end at max_steps")

    def _weighed(
        self, pool: Sequence[Particle], moved: Sequence[bool], step: int, tau: float
    ) -> tuple[list[Particle], dict[str, Any]]:
        """Return the particles with their new log-weights, and the round's record."""
        weights = [self.weigh(particle.path) for particle in pool]

        def at(heat: float) -> list[Particle]:
            tempered = [weight / heat for weight in weights]
            return [
                replace(p, carried=p.carried + self._gain(p, t, m), applied=t)
                for p, t, m in zip(pool, tempered, moved, strict=True)
            ]

        weighed = at(tau)
        if self.entropic:
            size = effective_size(distribution([p.carried for p in weighed]))
            tau = entropic(tau, size, len(pool), (step + 1) / self.stepping.max_steps)
            weighed = at(tau)
        theta = distribution([p.carried for p in weighed])
        record = {
            "tau": tau,
            "particles": [p.path.node for p in weighed],
            "weights": weights,
            "theta": theta,
            "ess": effective_size(theta),
            "active": sum(p.path.alive for p in weighed),
        }
        return weighed, record

    def _gain(self, particle: Particle, tempered: float, moved: bool) -> float:
        """Return what this step adds to a particle's log-weight."""
        if self.incremental:
            return tempered - particle.applied
        return tempered if moved or self.resample_inactive else 0.0

    def _resampled(
        self, board: Board, pool: Sequence[Particle], n_free: int, record: dict[str, Any], last: bool
    ) -> tuple[list[Particle], list[Particle]]:
        """Return free particles and references after resampling, which is left out after the final step.

        The record gets the ancestry. Resampling draws among the candidates, all particles or the active ones, and
        replaces the free ones of them.
        """
        ancestors = list(range(len(pool)))
        candidates = [at for at in ancestors if self.resample_inactive or pool[at].path.alive]
        carried = [pool[at].carried for at in candidates]
        after, due = list(pool), not last and self._due(carried)
        if due:
            places = [at for at in candidates if at < n_free]
            drawn = draw(distribution(carried), len(places), self.resampling, board.posed.rng)
            for place, index in zip(places, drawn, strict=True):
                ancestors[place] = candidates[index]
            mean, used = log_mean_exp(carried), set[int]()
            for place in candidates:
                source = ancestors[place]
                own = place >= n_free or (source < n_free and source not in used)
                after[place] = replace(pool[source], seed=pool[source].seed if own else board.seed(), carried=mean)
                used.add(source)
        record |= {
            "resampled": due,
            "ancestors": ancestors,
            "distinct": len(set(ancestors)),
            "first_steps": len({board.trace.root_of(particle.path.node) for particle in after}),
        }
        return after[:n_free], after[n_free:]

    def _due(self, carried: Sequence[float]) -> bool:
        """Return whether candidates of these log-weights are to be resampled."""
        if self.ess_threshold == 1:
            return len(carried) > 1
        return effective_size(distribution(carried)) < self.ess_threshold * len(carried)

    def pick(self, posed: Posed, pool: Sequence[Particle]) -> int:
        """Return which particle of a final weighted set is the answer."""
        if self.select == "argmax":
            return best([self.weigh(particle.path) for particle in pool])
        theta = distribution([particle.carried for particle in pool])
        if self.select == "sample":
            return draw(theta, 1, "multinomial", posed.rng)[0]
        texts = [posed.codec.decode(particle.path.tokens) for particle in pool]
        return vote([posed.answer_of(text) for text in texts], theta)


class Particles(Filtering):
    """Particle filter over the steps of an answer (Puri et al. 2025, arXiv 2502.01618, algorithm 1).

    Every active particle takes one step, is weighed, and all are redrawn with chances ``softmax(weight / tau)``, until
    all have ended; after the final step the weighted set is kept as it is.

    Args:
        tau: resampling temperature.
        tau_start: temperature of the first step, from which it falls or rises linearly to ``tau``.
        anneal_steps: steps that this takes, 2 or more.
    """

    name: ClassVar[str] = "particles"
    tau: Tau = 1.0
    tau_start: Tau | None = None
    anneal_steps: Annotated[int, Field(ge=0)] = 0

    @model_validator(mode="after")
    def _annealing_is_whole(self) -> Self:
        if (self.tau_start is not None) != (self.anneal_steps >= 2):
            raise ValueError(
                f"annealing needs both a start and its steps, not tau_start {self.tau_start} and anneal_steps "
                f"{self.anneal_steps}: give a tau_start and 2 steps or more, or neither"
            )
        return self

    @property
    def group_size(self) -> int:
        """N: the final particles."""
        return self.n

    def sized(self, samples: int) -> Self:
        """Return the filter of ``samples`` particles."""
        return self.model_copy(update={"n": samples})

    def tau_at(self, step: int) -> float:
        """Return the resampling temperature of a step."""
        return annealed(self.tau, self.tau_start, self.anneal_steps, step)

    def __call__(self, posed: Posed) -> Steps:
        """Run the filter; the answer is the chosen particle, the episodes are all of them."""
        board = Board(posed, Trace(self.name))
        pool = yield from self.sweep(board, self.tau_at)
        chosen = self.pick(posed, pool)
        return self.conclude(board, [particle.path for particle in pool], chosen)


def up_to(trace: Trace, path: Path, steps: int) -> Path:
    """Return the first steps of a path, with the trace's node where they end.

    Args:
        trace: the record that its nodes are in.
        path: a whole response.
        steps: how many; a shorter path comes back as it is.
    """
    node = path.node
    for _ in range(len(path.steps) - steps):
        node = trace.nodes[node]["parent"]
    cut = path.cut(steps)
    return cut if cut is path else replace(cut, node=node)
