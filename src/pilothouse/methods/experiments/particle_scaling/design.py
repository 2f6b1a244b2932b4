"""What is compared: a policy stopped early, a noisy process reward, and the searches at their budgets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pilothouse.core.seeds import SeedTree
from pilothouse.policies.causal_lm import CausalPolicy
from pilothouse.policies.tiny import tiny_policy
from pilothouse.policies.warm_cache import cached_warm_start
from pilothouse.policies.warm_start import WarmStart
from pilothouse.programs.base import Program, Sampling
from pilothouse.programs.beam import DVTS, BeamSearch
from pilothouse.programs.parallel_tempering import ParallelTempering
from pilothouse.programs.particle_gibbs import ParticleGibbs
from pilothouse.programs.particles import Particles
from pilothouse.tasks.chain_arithmetic import ChainArithmetic
from pilothouse.tasks.noisy_scorer import NoisySteps

HOW = Sampling(temperature=0.8)
TASK = ChainArithmetic(chain_steps=8)
DRAWN = "samples"  #: the arm of independent samples, from which best-of-N is computed at every N


@dataclass(frozen=True)
class Design:
    """The size of the experiment.

    Args:
        problems: held-out problems of each seed.
        seeds: policies, each with its own choice of problems, scorer noise and draws.
        budgets: responses a problem, ascending; best-of-N and the particle filter are measured at all of them.
        deterministic: budgets of beam search and DVTS; 4 divides each.
        gibbs: particles and iterations of particle Gibbs, whose product is the last budget.
        mislead: budget at which the particle filter and beam search meet a scorer that is wrong early on.
        size: the policy's size by name.
        warm: how it is prepared.
    """

    problems: int
    seeds: int
    budgets: tuple[int, ...]
    deterministic: tuple[int, ...]
    gibbs: tuple[int, int]
    mislead: int
    size: str
    warm: WarmStart

    def policy(self, seed: int) -> CausalPolicy:
        """Return the policy of a seed, stopped while it still errs; from the cache if it was made before."""
        seeds = SeedTree(seed) / "particle-scaling"
        policy = tiny_policy(TASK.character_set, (seeds / "weights").integer(), self.size)
        cached_warm_start(policy, TASK.problems("train"), self.warm, seed=(seeds / "warm-start").integer())
        return policy

    def arms(self) -> Mapping[str, tuple[Program, NoisySteps]]:
        """Return the searches by name, each with the scorer that it asks; independent samples are not among them."""
        fair = NoisySteps()
        misleading = NoisySteps(unreliable_steps=2, unreliable_share=0.5)
        n, iters = self.gibbs
        found: dict[str, tuple[Program, NoisySteps]] = {}
        for budget in self.budgets:
            found[f"particles@{budget}"] = (Particles(n=budget, sampling=HOW), fair)
        for budget in self.deterministic:
            found[f"beam@{budget}"] = (BeamSearch(n=budget, sampling=HOW), fair)
        found[f"gibbs {n}x{iters}"] = (ParticleGibbs(n=n, iters=iters, sampling=HOW), fair)
        found["misled particles"] = (Particles(n=self.mislead, sampling=HOW), misleading)
        found["misled beam"] = (BeamSearch(n=self.mislead, sampling=HOW), misleading)
        for budget in self.deterministic:
            found[f"dvts@{budget}"] = (DVTS(n=budget, sampling=HOW), fair)
        found[f"tempering 2x{n}"] = (ParallelTempering(n=n, sampling=HOW), fair)
        return found


#: Stopped at about 75 to 85 % right steps at temperature 0.8 (77, 74 and 79 % came out), by that share alone.
WARM = WarmStart(epochs=4, solution_loss=5.0)
DESIGNS = {
    "smoke": Design(6, 2, (1, 4, 8), (4, 8), (2, 4), 8, "nano", WarmStart(epochs=0.1)),
    "small": Design(200, 3, (1, 2, 4, 8, 16, 32), (4, 8), (8, 4), 8, "1m", WARM),
    "gpu": Design(500, 10, (1, 2, 4, 8, 16, 32, 64), (4, 8, 16, 32, 64), (16, 4), 8, "1m", WARM),
}
