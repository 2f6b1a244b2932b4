"""RTI-DP: a diffusion policy that polishes the plan of a moment ago instead of planning from noise.

A_0 by all K steps; then G = [A_t[1:], last row again], x <- G without fresh noise,
for k in S (a few low levels, down to 0): x <- posterior step from k to k - 1 with eps_theta(x, k, O_{t+1})
A_{t+1} = x; one action of each plan is executed
"""

from __future__ import annotations

from pilothouse.control.warm_start import RTI
from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.rti_dp import reproduce
from pilothouse.methods.experiments.rti_dp.arms import THIRTEEN
from pilothouse.training.action_recipe import ActionPolicy

METHOD = Method(
    card=Card(
        name="rti-dp",
        title="a diffusion policy that polishes its last plan by a few denoising steps",
        paper="Real-Time Iteration Scheme for Diffusion Policy",
        source="arXiv 2508.05396",
        year=2025,
        family="control",
        formula="G = [A_t[1:], A_t[-1]]; A_{t+1} = steps S of the reverse process from G; S falls to 0",
        settings="one action a plan, shift by one, no fresh noise on the guess, transitions to the next lower level as "
        "released; 13 levels from 24, in the middle of the released lists (3 to 21 calls, levels up to 40)",
        departures="the base policy is diffusion-policy's small network; slots of an environment are reset one by one "
        "(the released class keeps stale guesses); spaced transitions, renoising and a fallback are options of our own",
        claim="success at the level of the full 100 steps with 3 on most of seven robot tasks (guess channels scaled), "
        "with 11 to 19 for policies trained without it; better than them on Push-T and block pushing",
        when="a trained diffusion policy under a latency limit; not where the world jumps between two actions",
    ),
    recipe=ActionPolicy(sampler=RTI(steps=THIRTEEN), execute=1),
    reproduce=reproduce,
)
