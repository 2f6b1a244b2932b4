"""TD3+BC: a baseline for learning offline, TD3 with an actor that also imitates the data.

min mean (pi(s) - a)^2 - lambda mean Q(s, pi(s)),  lambda = alpha / mean |Q|
"""

from __future__ import annotations

from functools import partial

from pilothouse.control.td3_bc import TD3BC
from pilothouse.core.cards import Card
from pilothouse.methods.base import Method
from pilothouse.methods.experiments.offline_gain import reproduce
from pilothouse.training.offline_recipe import OfflineLearning

METHOD = Method(
    card=Card(
        name="td3-bc",
        title="TD3 with an actor that also imitates the recorded actions",
        paper="A Minimalist Approach to Offline Reinforcement Learning",
        source="arXiv 2106.06860",
        year=2021,
        family="control",
        formula="min mean (pi(s) - a)^2 - alpha / mean |Q| * mean Q(s, pi(s)); TD3's twin critics",
        settings="alpha 2.5, noise 0.2 within 0.5, actor every second update, 256 x 256, 3e-4, batches of 256, "
        "standardised observations: the paper's",
        departures="10,000 batches instead of a million (--steps counts hundreds)",
        claim="matches the state of the art of its time on D4RL with a few lines changed in TD3",
        when="the first thing to try on a fixed data set of continuous actions",
    ),
    recipe=OfflineLearning(learner=TD3BC()),
    reproduce=partial(reproduce, "td3-bc"),
)
