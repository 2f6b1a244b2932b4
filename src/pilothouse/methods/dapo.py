"""DAPO: GRPO with four techniques: clip-higher, dynamic sampling, token-level loss, overlong reward shaping.

A_i = (r_i - mean(r_group)) / std(r_group) over groups that are neither all right nor all wrong
L = -sum_it min(rho_it A_i, clip(rho_it, 1 - 0.2, 1 + 0.28) A_i) / number of tokens
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.grpo import GRPO
from pilothouse.credit.soft_overlong import SoftOverlong
from pilothouse.credit.zero_variance import ZeroVariance
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="dapo",
        title="GRPO with clip-higher, dynamic sampling, token-level loss and soft overlong punishment",
        paper="DAPO: An Open-Source LLM Reinforcement Learning System at Scale",
        source="arXiv 2503.14476",
        year=2025,
        family="credit",
        formula="GRPO's A on groups with 0 < accuracy < 1; eps_low 0.2, eps_high 0.28; mean over all tokens; a reward "
        "that falls over the last fifth of the length limit",
        settings="sections 3.1 to 3.4",
        departures="group of 8 instead of 16; draws at most 3 times the prompts of a step instead of without bound; "
        "one optimiser step a batch instead of 16",
        claim="50 points on AIME 2024 with Qwen2.5-32B, above DeepSeek-R1-Zero's 47 in half the steps",
        when="long responses and many prompts the policy always or never solves; costs more sampling per step",
    ),
    recipe=PolicyGradient(
        program=Group(n=8),
        select=ZeroVariance(),
        credit=SoftOverlong(of=GRPO()),
        objective=Clipped(eps_high=0.28, aggregation="token-mean"),
        training=TrainingSettings(refill=3),
    ),
    reproduce=training_gain("dapo"),
)
