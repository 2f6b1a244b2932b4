"""GRPO: no critic; a response is worth what it is worth beside the other responses to the same prompt.

A_i = (r_i - mean(r_group)) / std(r_group)
L = -mean_i mean_t min(rho_it A_i, clip(rho_it, 1 - eps, 1 + eps) A_i)
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.grpo import GRPO
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient

METHOD = Method(
    card=Card(
        name="grpo",
        title="clipped policy gradient with rewards standardised within the group",
        paper="DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models",
        source="arXiv 2402.03300",
        year=2024,
        family="credit",
        formula="A = (r - mean_group) / std_group; clipped surrogate, mean over each sequence, then over sequences",
        settings="section 4.1: eps 0.2, one update per batch, sequence-mean loss; eps of the std and ddof as in TRL",
        departures="group of 8 instead of 64; no KL term (the paper's 0.04 is --objective 'clipped + 0.04*kl'), as in "
        "most work since",
        claim="without a value network, raises GSM8K from 82.9 % to 88.2 % on DeepSeekMath-Instruct 7B",
        when="the first thing to try with a verifiable reward; beware of easy data, where dividing by a small std "
        "amplifies noise (lite-ppo, dr-grpo)",
    ),
    recipe=PolicyGradient(program=Group(n=8), credit=GRPO(), objective=Clipped(aggregation="sequence-mean")),
    reproduce=training_gain("grpo"),
)
