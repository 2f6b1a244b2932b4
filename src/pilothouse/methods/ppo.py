"""PPO: a learnt value of every state says how much better than expected each token turned out.

A_t = sum_l (gamma lam)^l delta_{t+l},  delta_t = r_t + gamma V(s_{t+1}) - V(s_t)
L = -mean_t min(rho_t A_t, clip(rho_t, 1 - eps, 1 + eps) A_t) + 0.5 (V - R)^2
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.gae import GAE
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import Clipped
from pilothouse.objectives.value import ValueLoss
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="ppo",
        title="clipped policy gradient with a value head and generalised advantage estimation",
        paper="Proximal Policy Optimization Algorithms",
        source="arXiv 1707.06347",
        year=2017,
        family="credit",
        formula="GAE(gamma, lam) on a value head; clipped surrogate plus half the squared value error",
        settings="eps 0.2 and 4 passes from the paper; gamma 1, lam 0.95 and whitening from its use on language models "
        "(arXiv 1909.08593)",
        departures="policy and value share one network, as in the paper's equation 9; no entropy bonus "
        "(--objective 'clipped + 0.5*value + 0.01*entropy')",
        claim="trust-region stability with first-order steps, above A2C and CEM on MuJoCo and Atari",
        when="credit must differ between the tokens of a response and there are steps enough to learn the values",
    ),
    recipe=PolicyGradient(
        program=Group(n=4),
        credit=GAE(),
        objective=Clipped() + 0.5 * ValueLoss(),
        training=TrainingSettings(prompts=64, epochs=4),
    ),
    reproduce=training_gain("ppo"),
)
