"""Particle-based scaling: treat the policy as a state-space model and a process reward as its noisy observation.

p(x_1..T | o = 1) ~ prod_t p(x_t | x_<t) odds(score(x_1..t))^(1 / tau)

Repeat until every particle has ended: extend each active particle by one step; weigh it by the log-odds of its score;
redraw all with chances softmax(weight / tau). The answer is the particle of the largest final weight.
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.grpo import GRPO
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.particle_scaling import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.base import Sampling
from pilothouse.programs.particles import Particles
from pilothouse.training.recipe import PolicyGradient

METHOD = Method(
    card=Card(
        name="particle-scaling",
        title="a particle filter over reasoning steps, weighted by a process reward",
        paper="A Probabilistic Inference Approach to Inference-Time Scaling of LLMs using Particle-Based Monte Carlo "
        "Methods",
        source="arXiv 2502.01618",
        year=2025,
        family="programs",
        formula="theta = softmax(log(r / (1 - r)) / tau) over all particles, resampled after every step but the last",
        settings="tau 1, temperature 0.8, at most 40 steps, multinomial resampling of all particles, argmax",
        departures="no resampling after the final step, which only adds variance; for training, GRPO over the final "
        "particles at temperature 1 (the paper trains nothing)",
        claim="4 to 16 times better scaling with the budget than deterministic search against the same reward model; a "
        "1.5 B model at budget 64 reaches 85.4 % on MATH500",
        when="a process reward that is right more often than not and answers of many steps; with an exact checker beam "
        "search is as good, and without steps use best-of-n",
    ),
    recipe=PolicyGradient(
        program=Particles(n=8, sampling=Sampling()),
        credit=GRPO(),
        objective=Clipped(aggregation="sequence-mean"),
    ),
    search=Particles(n=8),
    reproduce=reproduce,
)
