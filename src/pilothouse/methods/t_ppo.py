"""T-PPO: PPO on windows of tokens, whether or not the responses have ended, which never waits for the longest one.

A_t = sum_k (gamma lam)^k delta_{t+k},  delta_t = r_t + gamma V(s_{t+1}) - V(s_t);  where cut at l, V(s_l) = V(s_{l-1})
policy: clipped surrogate on the tokens of this window, of all slots, each iteration
values: squared error to R on all tokens of the responses that ended, in a network of their own
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.gae import GAE
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.t_ppo import reproduce
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import CriticSettings, PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="t-ppo",
        title="PPO on windows of unfinished responses, with a value network of its own",
        paper="Truncated Proximal Policy Optimization",
        source="arXiv 2506.15050",
        year=2025,
        family="credit",
        formula="GAE with V(s_l) = V(s_{l-1}) at a cut; clipped surrogate on the window's tokens; values fitted to "
        "Monte-Carlo returns of responses that ended",
        settings="no KL, separate networks, Monte-Carlo targets from the paper as its reviews and reading notes quote "
        "it; lam 0.95, eps 0.2 and 0.28, twice the learning rate for the values and whitening are usual for PPO on "
        "language models",
        departures="64 slots and windows of 32 tokens instead of 8,192 and 8,192; no official code to compare with: "
        "that all tokens of a window train, ended or not, and the value warm-up are our reading",
        claim="AIME 2024 with Qwen2.5-32B: above earlier methods in 60 % less training time than the best of them",
        when="response lengths have a heavy tail and decoding is the bottleneck; of no use where all are about as long",
    ),
    recipe=PolicyGradient(
        program=Group(n=1),
        credit=GAE(value_lam=1.0),
        objective=Clipped(eps_high=0.28),
        critic=CriticSettings(network="separate", warmup=20),
        training=TrainingSettings(prompts=64, minibatches=4, window=32),
    ),
    reproduce=reproduce,
)
