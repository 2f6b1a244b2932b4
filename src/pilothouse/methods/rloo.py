"""RLOO: REINFORCE whose baseline is the mean reward of the other responses to the same prompt.

A_i = r_i - mean(r_j, j != i),  L = -mean_i A_i sum_t log pi(y_it)
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.rloo import RLOO
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient

METHOD = Method(
    card=Card(
        name="rloo",
        title="REINFORCE with a leave-one-out baseline",
        paper="Back to Basics: Revisiting REINFORCE Style Optimization for Learning from Human Feedback in LLMs",
        source="arXiv 2402.14740",
        year=2024,
        family="credit",
        formula="A_i = r_i - mean of the other rewards of the group = G / (G - 1) times Dr. GRPO's",
        settings="section 3.2: leave-one-out baseline, sequence log-probability, no clipping in effect",
        departures="group of 8 (the paper: 2 and 4); the KL to the reference is --objective 'clipped + 0.03*kl' "
        "instead of a part of the reward",
        claim="beats PPO, DPO and RAFT on preference win rates with fewer parts than PPO",
        when="one update a batch and small groups; unbiased for any group size of two or more",
    ),
    # With one update a batch the ratio is 1, so the clipped surrogate has REINFORCE's gradient.
    recipe=PolicyGradient(program=Group(n=8), credit=RLOO(), objective=Clipped(aggregation="sequence-sum")),
    reproduce=training_gain("rloo"),
)
