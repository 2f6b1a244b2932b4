"""IQL: a baseline for learning offline that never asks for the value of an action outside the data.

V <- expectile_tau of Q_target(s, a);  Q <- r + gamma V(s');  pi <- imitation weighted by min(exp(beta (Q - V)), 100)
"""

from __future__ import annotations

from functools import partial

from pilothouse.control.iql import IQL
from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.offline_gain import reproduce
from pilothouse.training.offline_recipe import OfflineLearning

METHOD = Method(
    card=Card(
        name="iql",
        title="values as expectiles of the data's own actions, and imitation weighted by advantage",
        paper="Offline Reinforcement Learning with Implicit Q-Learning",
        source="arXiv 2110.06169",
        year=2021,
        family="control",
        formula="V: expectile tau of Q; Q: r + gamma V(s'); pi: min(exp(beta (Q - V)), 100) log pi(a | s)",
        settings="tau 0.7, beta 3, weights up to 100, 256 x 256, 3e-4, batches of 256: the paper's for locomotion",
        departures="10,000 batches instead of a million (--steps counts hundreds); all networks step at once, the "
        "actor weighted by the advantages before the step; no schedule and no dropout",
        claim="state of the art of its time on D4RL, most on the ant mazes",
        when="the data hold good pieces of bad episodes; safer than td3-bc where actions off the data are dangerous",
    ),
    recipe=OfflineLearning(learner=IQL()),
    reproduce=partial(reproduce, "iql"),
)
