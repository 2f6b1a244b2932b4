"""GSPO: the ratio, the clip and the credit all belong to the sequence.

s_i = exp(mean_t log(pi / pi_old)),  L = -mean_i min(s_i A_i, clip(s_i, 1 - 3e-4, 1 + 4e-4) A_i)
"""

from __future__ import annotations

from pilothouse.core.cards import Card
from pilothouse.credit.grpo import GRPO
from pilothouse.methods.base import Method
from pilothouse.methods.gain import training_gain
from pilothouse.objectives.clipped import GSPO
from pilothouse.programs.group import Group
from pilothouse.training.recipe import PolicyGradient, TrainingSettings

METHOD = Method(
    card=Card(
        name="gspo",
        title="GRPO with the length-normalised likelihood ratio of the whole sequence",
        paper="Group Sequence Policy Optimization",
        source="arXiv 2507.18071",
        year=2025,
        family="credit",
        formula="s = exp(mean_t log ratio); clipped surrogate on s with bounds 3e-4 and 4e-4",
        settings="section 5.1: bounds 3e-4 and 4e-4, each batch in 4 minibatches",
        departures="group of 8 (the paper gives none)",
        claim="stabler than GRPO at equal compute, and trains mixture-of-experts models without routing replay",
        when="several optimiser steps a batch, long responses, mixture-of-experts models",
    ),
    recipe=PolicyGradient(
        program=Group(n=8), credit=GRPO(), objective=GSPO(), training=TrainingSettings(minibatches=4)
    ),
    reproduce=training_gain("gspo"),
)
