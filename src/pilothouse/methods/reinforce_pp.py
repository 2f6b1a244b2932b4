"""REINFORCE++: no critic and no groups; the reward-to-go is standardised over the whole batch.

A_it = (R_it - mean_batch) / std_batch,  R_it = r_i - beta sum_{s >= t} KL_is
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.reinforce_pp import ReinforcePP
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import Clipped
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="reinforce-pp",
        title="critic-free PPO with global advantage normalisation",
        paper="REINFORCE++: Stabilizing Critic-Free Policy Optimization with Global Advantage Normalization",
        source="arXiv 2501.03262",
        year=2025,
        family="credit",
        formula="reward-to-go, with an optional KL penalty a token, whitened over the batch; clipped surrogate",
        settings="section 3: gamma 1, eps 0.2, one response a prompt",
        departures="KL penalty off (--credit.kl_coef 0.01 turns it on)",
        claim="as good as GRPO on reasoning and more robust out of domain, without groups",
        when="one response a prompt: many different prompts at little sampling cost each",
    ),
    recipe=PolicyGradient(
        program=Group(n=1), credit=ReinforcePP(), objective=Clipped(), training=TrainingSettings(prompts=512)
    ),
    reproduce=training_gain("reinforce-pp"),
)
