"""EBT-Policy: behaviour cloning that acts by walking down an energy, for two steps or for as many as it takes.

E_theta(O, A) = mean over the chunk's entries of a transformer's scores; no noise level goes in
act: A from noise; A' = A / rms(A); y = A' + mu v, v <- mu v - alpha exp(E) / T_E dE/dy, A <- A' + v; until dE/dy ~ 0
train: the same steps with noise and random sizes; min mean over steps || A - A* ||^2, each through its own step alone
"""

from __future__ import annotations

from pilothouse.control.energy_descent import EnergyDescent
from pilothouse.control.energy_unroll import EnergyUnroll
from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.ebt_policy import reproduce
from pilothouse.policies.energy_chunk import EnergyChunk
from pilothouse.training.action_recipe import ActionPolicy, ActionTraining

METHOD = Method(
    card=Card(
        name="ebt-policy",
        title="behaviour cloning that acts by descending a learnt energy, for two steps or as many as it takes",
        paper="EBT-Policy: Energy Unlocks Emergent Physical Reasoning Capabilities",
        source="arXiv 2510.27545",
        year=2025,
        family="control",
        formula="v <- mu v - alpha exp(E) / T_E dE/dy at y = A / rms(A) + mu v; train the chunk after every step to "
        "be the demonstrated one",
        settings="alpha 1000 (alpha_hat = alpha / (T A) = 20.8 for chunks of 16 x 3), mu 0.9, T_E 1, 6 to 10 steps in "
        "training with noise 0.2 to 0.002 and sizes within a factor 1.5, every step learns, at most 20 steps to "
        "act, until the gradient's norm is 1e-3; T = 16, To = 2, Ta = 8: the recorded settings of "
        "the authors' code, of which the newest let the last step alone learn (--objective.truncate true)",
        departures="unit scale and stopping are each chunk's own, not the batch's; a residual network of width 160 "
        "instead of the transformer of 8 blocks of 256 (--policy.network energy-transformer), learning rate 1e-3 "
        "instead of 1e-4, chunks are cut off at [-1, 1], averaged weights act",
        claim="converges within two inference steps on some tasks, 50 times fewer than Diffusion Policy's 100, with "
        "better success in simulation and on robots; recovers from failed actions by cloning alone",
        when="demonstrations that do the same in one way, and latency counts; not where they pass an obstacle on "
        "either side: the squared error averages them",
    ),
    recipe=ActionPolicy(
        policy=EnergyChunk(),
        objective=EnergyUnroll(),
        sampler=EnergyDescent(),
        training=ActionTraining(batch=64),
    ),
    reproduce=reproduce,
)
