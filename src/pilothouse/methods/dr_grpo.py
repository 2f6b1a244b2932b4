"""Dr. GRPO: GRPO without its two biases, the division by the group's std and by each response's length.

A_i = r_i - mean(r_group)
L = -sum_i sum_t min(rho_it A_i, clip(rho_it) A_i) / (N * max_length)
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.dr_grpo import DrGRPO
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient

METHOD = Method(
    card=Card(
        name="dr-grpo",
        title="GRPO without length and difficulty bias",
        paper="Understanding R1-Zero-Like Training: A Critical Perspective",
        source="arXiv 2503.20783",
        year=2025,
        family="credit",
        formula="A = r - mean_group; token losses summed and divided by a constant length",
        settings="section 3.2: no std, constant length divisor, eps 0.2, no KL",
        departures="none known",
        claim="the same reasoning accuracy as GRPO without the growth in length of wrong answers",
        when="easy or concentrated rewards, and whenever length creeps up",
    ),
    recipe=PolicyGradient(program=Group(n=8), credit=DrGRPO(), objective=Clipped(aggregation="fixed-length")),
    reproduce=training_gain("dr-grpo"),
)
